"""How much memory this process may still take, and the refusal of what needs more."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from workloads.errors import InputError

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def available_bytes() -> int:
    """Return the least of what the machine has available, what its control groups leave, and what ulimit -v leaves."""
    left = [psutil.virtual_memory().available, *_list_cgroup_rests()]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        left.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(left))


def require_memory(needed_bytes: int, what: str, advice: str = "") -> None:
    """Refuse what needs more memory than there is; `what` begins the sentence, such as ``net.npz: array 'a'``.

    Raises:
        InputError: it does not fit.
    """
    available = available_bytes()
    if needed_bytes > available:
        raise InputError(
            f"{what} needs {describe_bytes(needed_bytes)} of memory, {describe_bytes(available)} are available{advice}"
        )


def describe_bytes(size_bytes: int) -> str:
    """Write a size in the unit that suits it, such as ``1.5 GiB``."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {UNITS[unit]}"


def _list_cgroup_rests() -> Iterator[int]:
    """List what each control group around this process leaves, of version 2 and of version 1."""
    for line in _read(OWN_CGROUPS).splitlines():
        number, controllers, place = [*line.split(":", 2), "", ""][:3]
        is_second = number == "0" and not controllers
        if not is_second and "memory" not in controllers.split(","):
            continue
        root = CGROUP_ROOT if is_second else CGROUP_ROOT / "memory"
        limit, usage = ("memory.max", "memory.current") if is_second else (
            "memory.limit_in_bytes", "memory.usage_in_bytes"
        )  # fmt: skip
        folder = root / place.lstrip("/")
        for one in dict.fromkeys([folder, *folder.parents, root]):
            if one.is_relative_to(root) and _read(one / limit).strip().isdigit():
                cached = _read_statistic(one / "memory.stat", "inactive_file")
                yield int(_read(one / limit)) - int(_read(one / usage) or 0) + cached


def _read_statistic(path: Path, name: str) -> int:
    """Read one figure of a statistic; what is read from files is given back where memory is short."""
    for line in _read(path).splitlines():
        word, _, figure = line.partition(" ")
        if word.removeprefix("total_") == name and figure.isdigit():
            return int(figure)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
