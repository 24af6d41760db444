"""Numbers are stored as the nearest of a format: bit for bit numpy's half precision and torch's bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from peers import import_peer

from workloads.value_formats import (
    BF16_LARGEST,
    FP16_LARGEST,
    INT16_LARGEST,
    ValueFormat,
    count_saturated,
    find_exponent,
    round_values,
)

FORMATS = [ValueFormat.FP16, ValueFormat.BF16, ValueFormat.INT16]


def draw_floats(seed: int, count: int = 200_000) -> NDArray[np.float32]:
    """Draw bit patterns of float32, all magnitudes alike, without those that are no finite number."""
    bits = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    values = bits.view(np.float32)
    return values[np.isfinite(values)]


def list_halves() -> NDArray[np.float32]:
    """List every finite number of half precision, in order."""
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    return np.unique(values[np.isfinite(values)])


def test_float32_is_left_as_it_is() -> None:
    values = draw_floats(0)
    assert round_values(values, ValueFormat.FLOAT32) is values


def test_every_half_stays_and_the_middle_of_two_goes_to_the_even_one() -> None:
    halves = list_halves()
    assert np.array_equal(round_values(halves, ValueFormat.FP16), halves)
    middles = ((halves[1:].astype(np.float64) + halves[:-1]) / 2).astype(np.float32)
    rounded = round_values(middles, ValueFormat.FP16)
    assert np.array_equal(rounded, middles.astype(np.float16).astype(np.float32))
    words = rounded.astype(np.float16).view(np.uint16)
    assert (words % 2 == 0).all()
    for toward, expected in ((np.inf, halves[1:]), (-np.inf, halves[:-1])):
        beside = np.nextafter(middles, np.float32(toward))
        assert np.array_equal(round_values(beside, ValueFormat.FP16), expected)


def test_fp16_is_numpys_but_saturates() -> None:
    values = draw_floats(1)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(np.float32)
    expected = np.where(np.isinf(half), np.copysign(np.float32(FP16_LARGEST), half), half)
    assert np.array_equal(round_values(values, ValueFormat.FP16), expected)
    assert count_saturated(values, ValueFormat.FP16) == np.isinf(half).sum()
    borders = np.array([65504, 65519.996, 65520, -65520, 1e30], dtype=np.float32)
    assert round_values(borders, ValueFormat.FP16).tolist() == [65504, 65504, 65504, -65504, 65504]
    assert count_saturated(borders, ValueFormat.FP16) == 3


def test_fp16_has_subnormals_and_below_half_of_the_least_nothing() -> None:
    least = 2.0**-24
    values = np.array([least, least * 1.49, least * 1.5, least / 2, np.nextafter(np.float32(least / 2), np.float32(1))])
    assert round_values(values, ValueFormat.FP16).tolist() == [least, least, 2 * least, 0, least]


def test_bf16_is_the_nearer_of_two_neighbours_or_the_even_one() -> None:
    values = draw_floats(2)
    values = values[np.abs(values) <= BF16_LARGEST]
    below = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    above = ((values.view(np.uint32) & np.uint32(0xFFFF0000)) + np.uint32(0x10000)).view(np.float32)
    near = np.abs(values.astype(np.float64) - below)
    far = np.abs(above.astype(np.float64) - values)
    is_even = below.view(np.uint32) >> np.uint32(16) & np.uint32(1) == 0
    expected = np.where((near < far) | ((near == far) & is_even), below, above)
    assert np.array_equal(round_values(values, ValueFormat.BF16), expected)


def test_bf16_saturates() -> None:
    tie = np.float32(BF16_LARGEST + 2.0**119)
    values = np.array([BF16_LARGEST, np.nextafter(tie, np.float32(0)), tie, -3.4e38], dtype=np.float32)
    assert np.abs(round_values(values, ValueFormat.BF16)).tolist() == [BF16_LARGEST] * 4
    assert count_saturated(values, ValueFormat.BF16) == 2


@pytest.mark.peers
def test_formats_are_torchs_bit_for_bit() -> None:
    torch = import_peer("torch")
    values = draw_floats(3)
    for form, dtype in ((ValueFormat.FP16, torch.float16), (ValueFormat.BF16, torch.bfloat16)):
        theirs = torch.from_numpy(values).to(dtype).to(torch.float32).numpy()
        kept = np.isfinite(theirs)
        assert np.array_equal(round_values(values, form)[kept].view(np.uint32), theirs[kept].view(np.uint32))
        assert count_saturated(values, form) == (~kept).sum()


@pytest.mark.parametrize("place", range(50))
def test_an_int16_tensor_has_the_least_scale_that_holds_its_largest_element(place: int) -> None:
    rng = np.random.default_rng(place)
    values = (rng.normal(size=200) * 2.0 ** rng.integers(-120, 120)).astype(np.float32)
    exponent = find_exponent(values)
    largest = float(np.abs(values).max())
    assert largest <= INT16_LARGEST * 2.0**exponent
    assert largest > INT16_LARGEST * 2.0 ** (exponent - 1)
    rounded = round_values(values, ValueFormat.INT16)
    words = rounded.astype(np.float64) / 2.0**exponent
    assert np.array_equal(words, np.rint(values.astype(np.float64) / 2.0**exponent))
    assert find_exponent(rounded) == exponent
    assert np.array_equal(round_values(rounded, ValueFormat.INT16), rounded)


def test_the_scale_of_int16_has_borders() -> None:
    assert find_exponent(np.zeros(3)) == 0
    assert find_exponent(np.array([32767.0])) == 0
    assert find_exponent(np.array([-32768.0])) == 1
    assert find_exponent(np.array([2.0**-149])) == -149
    assert round_values(np.array([2.0**-149, 2.0**-148]), ValueFormat.INT16).tolist() == [2.0**-149, 2.0**-148]
    assert round_values(np.array([32767.75, 1.5, 2.5, -0.5]), ValueFormat.INT16).tolist() == [32768, 2, 2, 0]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_no_number_stays_none(form: ValueFormat) -> None:
    values = np.array([np.nan, 1, 0], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        assert np.isnan(round_values(values, form)[0])
