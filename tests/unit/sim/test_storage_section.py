"""The format of stored values goes with the arithmetic, the sizes and the loss scale beside it, or is refused."""

from __future__ import annotations

import pytest

from sim.architecture import load_architecture, override_architecture
from sim.storage_section import NumberFormat, StorageSection, describe_contradiction
from workloads.errors import InputError
from workloads.value_formats import ValueFormat


def override(*settings: str) -> StorageSection:
    """Change the storage of the preset."""
    storage = load_architecture("sparsetrain", tuple(f"storage.{setting}" for setting in settings)).storage
    assert storage is not None
    return storage


def test_values_are_float32_unless_the_machine_says_otherwise() -> None:
    assert load_architecture("sparsetrain").values is ValueFormat.FLOAT32
    assert load_architecture("sparsetrain").loss_scale == 1
    assert load_architecture("ideal").values is ValueFormat.FLOAT32
    assert load_architecture("ideal").loss_scale == 1


@pytest.mark.parametrize(
    "settings",
    [
        ("values=fp16",),
        ("values=bf16", "loss_scale=1024"),
        ("number_format=int16", "values=int16"),
        ("values=int16", "number_format=int16"),
        ("loss_scale=8", "values=fp16"),
        ("values=int16", "number_format=int16", "acc_bits=48"),
        ("number_format=int16",),
        ("data_bits=8",),
        ("acc_bits=24",),
    ],
)
def test_fields_that_go_together_are_set_in_any_order(settings: tuple[str, ...]) -> None:
    storage = override(*settings)
    assert describe_contradiction(storage) is None
    assert {f"{name}={value}" for name, value in storage.model_dump(mode="json").items()} >= set(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("values=int16",), "values int16 go with number_format int16, got fp16"),
        (("number_format=int16", "values=bf16"), "values bf16 go with number_format fp16, got int16"),
        (("values=fp16", "data_bits=8"), "values fp16 take 16 bits, but data_bits is 8"),
        (("values=bf16", "acc_bits=24"), "values bf16 are summed in float32, but acc_bits is 24, not 32"),
        (
            ("values=int16", "acc_bits=64", "number_format=int16"),
            "values int16 are summed in 16 to 48 bits, but acc_bits is 64",
        ),
        (
            ("loss_scale=4",),
            "loss_scale is 4, but values float32 are not rounded; it goes with fp16 and bf16",
        ),
        (
            ("loss_scale=4", "values=int16", "number_format=int16"),
            "loss_scale is 4, but values int16 have a scale for each tensor",
        ),
    ],
)
def test_a_contradiction_is_one_sentence_that_names_the_override_that_made_it(
    settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        override(*settings)
    assert str(caught.value) == f"--set storage.{settings[-1]}: storage: {words}"


def test_a_fault_that_no_later_override_mends_is_that_of_the_first() -> None:
    with pytest.raises(InputError, match=r"^--set array.groups=0: array.groups must be a whole number "):
        override_architecture(load_architecture("ideal"), None, ("array.groups=0", "clock_mhz=900"))


@pytest.mark.parametrize("scale", ["3", "0", "1.5", str(2**25)])
def test_a_loss_scale_is_a_power_of_two(scale: str) -> None:
    with pytest.raises(InputError, match=r"^--set storage.loss_scale="):
        override("values=fp16", f"loss_scale={scale}")


def test_formats_of_arithmetic_are_the_two_that_have_prices() -> None:
    assert [form.value for form in NumberFormat] == ["fp16", "int16"]
