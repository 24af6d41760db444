"""Names of layers made of names in other programs' files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from workloads.network import INPUT

LONGEST = 128
_UNFIT = re.compile(r"[^A-Za-z0-9_.\-]+")


@dataclass(eq=False)
class LayerNames:
    """Names that were given out, each once."""

    _taken: set[str] = field(default_factory=lambda: {INPUT})

    def take(self, wanted: str, otherwise: str = "layer") -> str:
        """Give a layer's name like the wanted one: other signs become underscores, a second is numbered."""
        name = fit_name(wanted) or otherwise
        number, free = 1, name
        while free in self._taken:
            number += 1
            free = f"{name[: LONGEST - len(str(number)) - 1]}_{number}"
        self._taken.add(free)
        return free


def fit_name(wanted: str) -> str:
    """Leave in a name what a layer's may have; empty where nothing is left."""
    name = _UNFIT.sub("_", wanted.strip()).strip("_.-")[:LONGEST]
    return f"_{name}"[:LONGEST] if name and not (name[0].isalpha() or name[0] == "_") else name


def name_workload(stem: str) -> str:
    """Make a workload's name of a file's."""
    return _UNFIT.sub("_", stem).strip("_.-")[:LONGEST] or "imported"
