"""Words for runs in some of whose layers nothing is trained: their speed is none of a training iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any


def describe_dead(record: Mapping[str, Any], layers: Sized) -> str:
    """Continue a verdict with how many of a run's layers are dead; nothing where none is."""
    dead = len(record.get("dead_layers", ()))
    if not dead:
        return ""
    return f", but {dead} of {len(layers)} layers {'is' if dead == 1 else 'are'} dead"
