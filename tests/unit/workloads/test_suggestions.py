"""A suggestion is for a typing error, and never another computation."""

from __future__ import annotations

import pytest

from workloads.suggestions import count_edits, did_you_mean

KINDS = ("conv2d", "linear", "relu", "max_pool", "avg_pool", "global_avg_pool", "flatten", "dropout", "batch_norm",
         "add", "concat", "softmax_cross_entropy")  # fmt: skip


@pytest.mark.parametrize(
    ("given", "meant"),
    [("rellu", "relu"), ("rleu", "relu"), ("ReLU", "relu"), ("Conv2D", "conv2d"), ("covn2d", "conv2d"),
     ("liner", "linear"), ("maxpool", "max_pool"), ("max-pool", "max_pool"), ("BatchNorm", "batch_norm"),
     ("flaten", "flatten"), ("ad", None), ("drop_out", "dropout")],
)  # fmt: skip
def test_a_typing_error_is_recognised(given: str, meant: str | None) -> None:
    assert did_you_mean(given, KINDS) == (f"; did you mean '{meant}'?" if meant else "")


@pytest.mark.parametrize(
    "given",
    ["gelu", "GELU", "selu", "elu", "prelu", "relu6", "silu", "conv3d", "conv1d", "conv", "min_pool", "max_pool3d",
     "avg_pool1d",
     "max_unpool", "unflatten", "bilinear", "group_norm", "softmax", "lstm", "attention", "sub", "", "x", 3, None,
     ["relu"]],
)  # fmt: skip
def test_another_computation_is_never_offered(given: object) -> None:
    assert did_you_mean(given, KINDS) == ""


def test_other_digits_are_another_thing() -> None:
    presets = ("lenet5", "resnet18", "resnet50", "resnet152", "vgg16")
    assert did_you_mean("resnet101", presets) == did_you_mean("vgg19", presets) == ""
    assert did_you_mean("resent50", presets) == "; did you mean 'resnet50'?"
    assert did_you_mean("float46", ("float32", "float64")) == "; did you mean 'float64'?"


def test_the_nearest_of_several_is_offered() -> None:
    assert did_you_mean("outputt", ("input", "outputs", "output")) == "; did you mean 'outputs'?"
    assert did_you_mean("inputt", ("output", "inputs", "input")) == "; did you mean 'inputs'?"


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("ab", "ba", 1), ("kitten", "sitting", 3),
     ("ca", "abc", 3)],
)  # fmt: skip
def test_edits_are_insertions_deletions_exchanges_and_swaps_of_neighbours(first: str, second: str, edits: int) -> None:
    assert count_edits(first, second) == count_edits(second, first) == edits


def test_a_huge_name_is_not_compared_letter_by_letter() -> None:
    assert did_you_mean("a" * 10**8, KINDS) == ""
