"""What the Makefile installs when: from which lock, how, and not twice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
READ = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock", "requirements-peers.lock")
OLD, NEW, CHANGED = 1_000, 2_000, 3_000
STAMPS = {".running": "requirements.lock", ".developing": "requirements-dev.lock"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    (folder / ".venv").mkdir(parents=True)
    for name in READ:
        shutil.copy(ROOT / name, folder / name)
        os.utime(folder / name, (OLD, OLD))
    return folder


def stamp(checkout: Path, *names: str) -> None:
    for name in names:
        (checkout / ".venv" / name).touch()
        os.utime(checkout / ".venv" / name, (NEW, NEW))


def list_commands(checkout: Path, *targets: str) -> list[str]:
    """Tell the lines that `make` would run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *targets],
        cwd=checkout, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def list_installed(checkout: Path, *targets: str) -> list[str]:
    """Tell which locks `make` would install."""
    lines = "\n".join(list_commands(checkout, *targets))
    return re.findall(r"pip install .*-r (\S+)", lines)


@pytest.mark.parametrize("target", ["install", "demo", "gallery"])
def test_what_runs_the_simulator_installs_the_lock_of_running_alone(target: str, checkout: Path) -> None:
    assert list_installed(checkout, target) == ["requirements.lock"]


def test_what_is_compared_with_is_installed_beside_the_lock_of_developing(checkout: Path) -> None:
    assert list_installed(checkout, "validate") == ["requirements-dev.lock", "requirements-peers.lock"]


@pytest.mark.parametrize("target", ["develop", "test", "bench", "lock"])
def test_what_develops_installs_the_lock_of_developing_alone(target: str, checkout: Path) -> None:
    assert list_installed(checkout, target) == ["requirements-dev.lock"]


@pytest.mark.parametrize("lock", STAMPS.values())
def test_a_lock_is_installed_as_it_stands(lock: str, checkout: Path) -> None:
    lines = list_commands(checkout, "demo", "test")
    (place,) = (number for number, line in enumerate(lines) if line.endswith(f"-r {lock}"))
    words = lines[place].split()
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(words)
    own, check = lines[place + 1 : place + 3]
    assert {"--no-deps", "--no-build-isolation", "-e", "."} <= set(own.split())
    assert check == ".venv/bin/python -m pip check"


def test_tests_after_the_demo_add_to_what_is_installed(checkout: Path) -> None:
    stamp(checkout, ".running")
    assert list_installed(checkout, "demo") == []
    assert list_installed(checkout, "test") == ["requirements-dev.lock"]


def test_the_demo_after_tests_installs_nothing(checkout: Path) -> None:
    lines = list_commands(checkout, "test")
    assert "touch .venv/.running .venv/.developing" in lines
    stamp(checkout, *STAMPS)
    assert list_installed(checkout, "demo") == list_installed(checkout, "test") == []


@pytest.mark.parametrize(
    ("changed", "target", "installed"),
    [
        ("requirements.lock", "demo", ["requirements.lock"]),
        ("requirements-dev.lock", "demo", []),
        ("requirements-dev.lock", "test", ["requirements-dev.lock"]),
        ("pyproject.toml", "demo", ["requirements.lock"]),
        ("pyproject.toml", "test", ["requirements-dev.lock"]),
    ],
)
def test_a_lock_that_changed_is_installed_again(
    changed: str, target: str, installed: list[str], checkout: Path
) -> None:
    stamp(checkout, *STAMPS)
    os.utime(checkout / changed, (CHANGED, CHANGED))
    assert list_installed(checkout, target) == installed


def test_make_lock_writes_every_lock_without_an_address(checkout: Path) -> None:
    stamp(checkout, *STAMPS)
    lines = [line for line in list_commands(checkout, "lock") if "uv pip compile" in line]
    assert [line.split()[-1] for line in lines] == [
        "requirements-dev.lock", "requirements.lock", "requirements-peers.lock",
    ]  # fmt: skip
    assert all("--no-emit-index-url" in line and "--generate-hashes" in line for line in lines)


def test_make_clean_removes_what_git_ignores() -> None:
    ignored = set((ROOT / ".gitignore").read_text().split())
    (recipe,) = re.findall(r"^clean:\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    removed = set(re.findall(r"(?<=\s)[.\w][\w.*-]*", recipe))
    by_pattern = {"*.py[co]", "*.nbi", "*.nbc", "*.egg-info/", "__pycache__/"}
    assert {name for name in ignored - by_pattern if name.rstrip("/") not in removed} == set()
