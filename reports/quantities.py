"""Quantities in words: shares, and energies in the unit that suits them."""

from __future__ import annotations


def write_percent(part: float, whole: float) -> str:
    """Write a share in percent with three significant digits at most, and no less than 0.01."""
    if 0 < part < 1e-4 * whole:
        return "below 0.01 %"
    return f"{100 * part / whole:.3g} %" if whole else "no share"


def scale_energy(pj: float) -> tuple[float, str]:
    """Give the divisor and the unit that suit an energy in pJ."""
    for divisor, unit in ((1e12, "J"), (1e9, "mJ"), (1e6, "uJ"), (1e3, "nJ")):
        if pj >= divisor:
            return divisor, unit
    return 1.0, "pJ"


def write_energy(pj: float) -> str:
    """Write an energy in the unit that suits it."""
    divisor, unit = scale_energy(pj)
    return f"{pj / divisor:,.4g} {unit}"


def write_ratio(value: float | None) -> str:
    """Write a ratio; a dash where there is none."""
    return "-" if value is None else f"{value:.2f}x"
