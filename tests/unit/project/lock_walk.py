"""What a lock lacks, found by walking the requirements that packages state, extras included; asks no index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# One entry: a name at the start of a line, its exact version, perhaps a marker, then its hashes.
ENTRY = re.compile(r"^(\S+?)==(\S+)(?: ; ([^\\\n]+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)

# Gives the requirements that a package of a name and version states; None where that version is not at hand.
Stated = Callable[[str, str], Sequence[str] | None]


@dataclass(frozen=True)
class Pin:
    """One entry of a lock: a version, for the environments that meet the marker."""

    name: str
    version: str
    marker: Marker | None = None


@dataclass
class Walk:
    """What was found: gaps, a sentence each; pins that something requires; pins whose requirements are unknown."""

    gaps: list[str] = field(default_factory=list)
    needed: set[Pin] = field(default_factory=set)
    unknown: set[Pin] = field(default_factory=set)


def read_pins(path: Path) -> list[Pin]:
    """Read the entries of a lock."""
    return [
        Pin(canonicalize_name(match[1]), match[2], Marker(match[3]) if match[3] else None)
        for match in ENTRY.finditer(path.read_text(encoding="utf-8"))
    ]


def read_installed(name: str, version: str) -> Sequence[str] | None:
    """Give what an installed package states, if it is of that version."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    return (found.requires or ()) if found.version == version else None


def walk_lock(
    roots: Iterable[str], pins: Iterable[Pin], environment: Mapping[str, str], stated: Stated = read_installed
) -> Walk:
    """Follow requirements from the roots through the lock, as they hold in an environment of markers."""
    values = dict(environment)
    here = {pin.name: pin for pin in pins if pin.marker is None or pin.marker.evaluate(values)}
    walk = Walk()
    waiting = [("the project", Requirement(root), frozenset({""})) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        source, requirement, extras = waiting.pop()
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({**values, "extra": extra}) for extra in extras):
            continue
        pin = here.get(canonicalize_name(requirement.name))
        if pin is None or not requirement.specifier.contains(pin.version, prereleases=True):
            locked = "nothing of it" if pin is None else pin.version
            walk.gaps.append(f"{source} requires {requirement}, and locked is {locked}")
            continue
        walk.needed.add(pin)
        fresh = frozenset({"", *requirement.extras} - {extra for name, extra in seen if name == pin.name})
        if not fresh:
            continue
        seen |= {(pin.name, extra) for extra in fresh}
        texts = stated(pin.name, pin.version)
        if texts is None:
            walk.unknown.add(pin)
            continue
        waiting += [(pin.name, Requirement(text), fresh) for text in texts]
    return walk
