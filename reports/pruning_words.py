"""How gradients were pruned, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_pruning(pruning: Mapping[str, Any]) -> str:
    """Name how gradients were pruned, by its record: the rate, and the threshold model where it is not the normal.

    Of neighbours in a row: how many of how many stay. Recorded operands need not tell their rate.
    """
    return f"{name_method(pruning)} for GTA" if pruning.get("for") == "gta" else name_method(pruning)


def name_method(pruning: Mapping[str, Any]) -> str:
    """Name the method, and how much it prunes."""
    if pruning.get("method") == "n_m":
        return f"{pruning['n']}:{pruning['m']} (biased)"
    if pruning.get("rate") is None:
        return "as recorded"
    model = pruning.get("model", "normal")
    return f"{pruning['rate']:g}" if model == "normal" else f"{pruning['rate']:g} {model}"
