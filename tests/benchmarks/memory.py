"""The peak of a process's memory, which Linux allows to be measured anew from a point on."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def read_peak() -> int:
    """Give the largest resident memory since the process started or `reset_peak` was called, in bytes."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> None:
    """Forget the peak so far; where the system does not allow it, the peak stays that of the whole process."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
