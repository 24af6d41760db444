from __future__ import annotations

import math

import pytest

from sim.sampling.intervals import (
    EXACT,
    Spread,
    add_independent,
    divide_estimates,
    incomplete_beta,
    scale_spread,
    student_quantile,
    student_within,
)

# Two-sided 95 % quantiles as every table of Student's t prints them, to three places.
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 10: 2.228, 30: 2.042, 120: 1.980, math.inf: 1.960}


@pytest.mark.parametrize(("degrees", "quantile"), TABLE.items())
def test_quantiles_are_those_of_the_tables(degrees: float, quantile: float) -> None:
    assert student_quantile(degrees) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_quantiles_of_one_and_two_degrees_have_closed_forms(confidence: float) -> None:
    assert student_quantile(1, confidence) == pytest.approx(math.tan(math.pi * confidence / 2), rel=1e-9)
    assert student_quantile(2, confidence) == pytest.approx(
        confidence * math.sqrt(2 / (1 - confidence**2)), rel=1e-9
    )  # fmt: skip


@pytest.mark.parametrize("degrees", [1, 1.5, 2.5, 7, 40.25, 1e6])
def test_a_quantile_holds_its_share(degrees: float) -> None:
    assert student_within(student_quantile(degrees), degrees) == pytest.approx(0.95, abs=1e-9)


def test_the_incomplete_beta_function_has_its_closed_forms() -> None:
    for x in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert incomplete_beta(x, 1, 1) == pytest.approx(x, abs=1e-12)
        assert incomplete_beta(x, 3, 1) == pytest.approx(x**3, abs=1e-12)
        assert incomplete_beta(x, 1, 4) == pytest.approx(1 - (1 - x) ** 4, abs=1e-12)


def test_less_than_one_degree_of_freedom_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an interval needs at least one degree of freedom, got 0\.5$"):
        student_quantile(0.5)


def test_a_half_width_is_the_quantile_times_the_standard_error() -> None:
    assert Spread(9.0, 3).half_width == pytest.approx(3 * student_quantile(3))
    assert EXACT.half_width == 0


def test_independent_variances_add_and_their_degrees_are_satterthwaites() -> None:
    equal = add_independent([Spread(2.0, 4)] * 5)
    assert equal.variance == pytest.approx(10)
    assert equal.degrees == pytest.approx(5 * 4)
    mixed = add_independent([Spread(3.0, 2), Spread(1.0, 8), EXACT])
    assert mixed.variance == pytest.approx(4)
    assert mixed.degrees == pytest.approx(4**2 / (3**2 / 2 + 1**2 / 8))
    assert add_independent([EXACT, EXACT]) == EXACT
    assert add_independent([Spread(2.0, math.inf)]) == Spread(2.0, math.inf)


def test_a_ratios_relative_variance_is_the_sum_of_its_parts() -> None:
    found = divide_estimates(30.0, Spread(9.0, 6), 10.0, Spread(4.0, 6))
    assert found.variance == pytest.approx((30 / 10) ** 2 * (9 / 30**2 + 4 / 10**2))
    assert scale_spread(Spread(4.0, 6), -3) == Spread(36.0, 6)
