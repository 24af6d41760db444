"""How gradients were pruned, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_pruning(pruning: Mapping[str, Any]) -> str:
    """Name how gradients were pruned, by its record: the rate, and the threshold model where it is not the normal."""
    model = pruning.get("model", "normal")
    return f"{pruning['rate']:g}" if model == "normal" else f"{pruning['rate']:g} {model}"
