"""On what a session was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sim.version import MODEL_VERSION

PACKAGES = ("numpy", "numba", "simpy")


def describe_environment() -> dict[str, Any]:
    """Tell date, processor, cores, versions and commit, and what else moves times."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": find_cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "sparsetrain": MODEL_VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "commit": find_commit(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE"),
    }


def find_cpu_name() -> str:
    """Give the processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)):
        return found[1].strip()
    return platform.processor() or "unknown"


def find_commit() -> str:
    """Give the commit of this checkout, marked where files differ from it; `unknown` outside of one."""
    folder = Path(__file__).parent
    try:
        commit = run_git(folder, "rev-parse", "HEAD")
        changed = run_git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with changes" if changed else commit


def run_git(folder: Path, *arguments: str) -> str:
    """Give what a git command prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
