from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workloads.errors import InputError
from workloads.importers.reading import import_network

KNOWN = """\
problem:
  shape: cnn-layer
  {C: 3, K: 64, N: 2, P: 112, Q: 111, R: 7, S: 5, Wstride: 2, Hstride: 3, Wdilation: 2, Hdilation: 1}
"""
PRODUCT = """\
problem:
  version: 0.4
  shape:
    name: my product
    dimensions: [M, N, K]
    data_spaces:
      - {name: A, projection: [[[M]], [[K]]]}
      - {name: B, projection: [[[N]], [[K]]]}
      - {name: Z, projection: [[[M]], [[N]]], read_write: True}
  instance: {M: 4, N: 5, K: 6}
"""
GROUPED = """\
problem:
  shape:
    name: grouped
    dimensions: [G, C, M, R, P, N]
    coefficients: [{name: stride, default: 2}]
    data-spaces:
      - {name: Weights, projection: [[[G]], [[C]], [[M]], [[R]]]}
      - {name: Inputs, projection: [[[N]], [[G]], [[C]], [[R], [P, stride]]]}
      - {name: Outputs, projection: [[[N]], [[G]], [[M]], [[P]]], read-write: True}
  instance: {G: 4, C: 2, M: 3, R: 5, P: 7, N: 1, densities: {Weights: {density: 0.25}, Inputs: 0.75}}
"""


def write(folder: Path, text: str) -> Path:
    """Write a problem."""
    path = folder / "problem.yaml"
    path.write_text(text)
    return path


def layer_of(folder: Path, text: str) -> dict[str, Any]:
    """Import a problem's layer."""
    (layer,) = import_network(write(folder, text)).data["layers"]
    return dict(layer)


def flat(text: str) -> str:
    """Write the sizes of a problem one a line."""
    head, _, sizes = text.partition("{")
    return head.rstrip() + "\n" + "".join(f"  {one.strip()}\n" for one in sizes.strip().rstrip("}").split(","))


def test_a_convolution_that_is_known_by_name_has_the_width_in_r_and_p(tmp_path: Path) -> None:
    found = import_network(write(tmp_path, flat(KNOWN))).data
    assert found["batch"] == 2
    assert found["layers"] == [{
        "name": "conv", "type": "conv2d",
        "input": {"channels": 3, "height": 3 * (111 - 1) + 5, "width": 2 * (112 - 1) + 2 * (7 - 1) + 1},
        "out_channels": 64, "kernel": [5, 7], "stride": [3, 2], "dilation": [1, 2], "bias": False,
    }]  # fmt: skip


def test_a_product_has_rows_and_features_by_its_projections(tmp_path: Path) -> None:
    assert layer_of(tmp_path, PRODUCT) == {
        "name": "product", "type": "linear", "input": {"tokens": 4, "channels": 6}, "out_features": 5, "bias": False,
    }  # fmt: skip


def test_a_product_of_one_row_has_features_alone(tmp_path: Path) -> None:
    assert layer_of(tmp_path, PRODUCT.replace("M: 4", "M: 1"))["input"] == {"features": 6}


def test_a_dimension_that_all_tensors_have_is_groups_and_one_axis_is_the_width(tmp_path: Path) -> None:
    data = import_network(write(tmp_path, GROUPED)).data
    assert data["layers"] == [{
        "name": "conv", "type": "conv2d", "input": {"channels": 8, "height": 1, "width": 2 * (7 - 1) + 5},
        "out_channels": 12, "kernel": [1, 5], "stride": [1, 2], "groups": 4, "bias": False,
    }]  # fmt: skip
    assert data["operands"]["density"] == {"input": 0.75, "grad_output": 0.5, "weight": 0.25}


def test_coefficients_of_an_instance_go_before_their_defaults(tmp_path: Path) -> None:
    assert layer_of(tmp_path, GROUPED.replace("N: 1,", "N: 1, stride: 3,"))["stride"] == [1, 3]


SPACES = PRODUCT.partition("    data_spaces")[0]
REFUSED = {
    "problem: 3\n": ", line 1: problem: must be a mapping of shape and instance",
    "problem:\n  shape: cnn-layer\n": ", line 1: the problem has no instance; the sizes of its dimensions are needed",
    "shape: {name: x, dimensions: [R]}\n": ": the problem has no instance; the sizes of its dimensions are needed",
    "problem: {shape: magic, C: 3}\n": (
        ", line 1: the shape 'magic' has no data_spaces, and is none of cnn-layer, gemm and gemm-ABZ"
    ),
    "problem: {shape: gemm, M: 3, N: x, K: 4}\n": (
        ", line 1: 'N' is 'x'; a whole number from 1 to 16777216 is expected"
    ),
    "problem: {shape: gemm, M: 3, N: 0, K: 4}\n": ", line 1: 'N' is 0; a whole number from 1 to 16777216 is expected",
    "problem: {shape: gemm, M: 3, K: 4}\n": ", line 1: the instance lacks the size of N",
    PRODUCT.replace("    data_spaces:", "    data_spaces: 3\n    other:"): (
        ", line 1: data_spaces must be a list of three: inputs, weights and outputs"
    ),
    PRODUCT.replace("      - {name: A, projection: [[[M]], [[K]]]}\n", ""): (
        ", line 1: data_spaces must be a list of three: inputs, weights and outputs"
    ),
    PRODUCT.replace("{name: A, projection: [[[M]], [[K]]]}", "A"): (
        ", line 1: a data space must be a mapping with a name and a projection"
    ),
    PRODUCT.replace("[[[M]], [[K]]]", "[]"): ", line 1: the data space 'A' must have a list as its projection",
    PRODUCT.replace("[[[M]], [[K]]]", "[M, K]"): (
        ", line 1: the projection of 'A' holds 'M'; a list of [dimension] or [dimension, coefficient] is expected"
    ),
    PRODUCT.replace(", read_write: True", ""): ", line 1: 0 data spaces are read_write; the outputs alone must be",
    PRODUCT.replace("K: 6", "K: 6, densities: 3"): ", line 1: densities must be a mapping of data spaces",
    PRODUCT.replace("K: 6", "K: 6, densities: {B: 1.5}"): (
        ", line 1: the density of 'B' is 1.5; a number from 0 to 1 is expected"
    ),
    PRODUCT.replace("[[[N]], [[K]]]", "[[[N]], [[K]], [[M]]]"): (
        ", line 1: a product whose weights differ between 4 places is no layer"
    ),
    GROUPED.replace("[[R], [P, stride]]", "[[R], [C, stride]]"): (
        ", line 1: R + C*stride of 'Inputs' is no sum of a dimension of the weights and one of the outputs"
    ),
    GROUPED.replace("[{name: stride, default: 2}]", "[stride]"): (
        ", line 1: coefficients must be a list of mappings with a name"
    ),
    GROUPED.replace("[[R], [P, stride]]", "[[R], [P, stride]], [[R], [P]], [[R], [P]]"): (
        ", line 1: the inputs have 3 axes with a window; 1 or 2 are known"
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_fault_is_told(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        import_network(path)
    assert str(caught.value) == f"{path}{REFUSED[text]}"
