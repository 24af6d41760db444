"""The PPU's rounding unit and the host's rounding, which share no code, store the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sim.step.rounding_unit import store_rows
from workloads.value_formats import ValueFormat, round_values

FORMATS = [ValueFormat.FP16, ValueFormat.BF16, ValueFormat.INT16]


def test_float32_is_left_as_it_is() -> None:
    values = np.ones(3, dtype=np.float32)
    assert store_rows(values, ValueFormat.FLOAT32) is values


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", range(20))
def test_the_rounding_unit_stores_what_the_host_rounds(form: ValueFormat, place: int) -> None:
    values = np.random.default_rng(place).integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    if form is ValueFormat.INT16 or place % 2:
        values = (values / np.abs(values).max() * np.float32(2.0) ** (place - 25)).astype(np.float32)
    ours, theirs = store_rows(values, form), round_values(values, form)
    assert ours.dtype == theirs.dtype == np.float32
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_no_number_stays_none(form: ValueFormat) -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(store_rows(np.array([np.nan, 1, 0], dtype=np.float32), form)[0])
