"""The lock file: what it pins, and what it must not tell."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# One entry: a name at the start of a line, its exact version, perhaps a marker, then its hashes.
ENTRY = re.compile(r"^(\S+?)==(\S+)(?: ; [^\\\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> list[str]:
    requirements = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["dev"],
    ]
    return sorted({normalize(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in requirements})


def test_the_lock_holds_no_address() -> None:
    assert re.findall(r"\S*(?:://|--index|--extra-index|--find-links|--trusted| @ )\S*", LOCK) == []


def test_every_entry_of_the_lock_has_an_exact_version_and_hashes() -> None:
    lines = [line for line in ENTRY.sub("", LOCK).splitlines() if line.strip() and not line.strip().startswith("#")]
    assert lines == []


@pytest.mark.parametrize("name", declared())
def test_a_declared_dependency_is_locked(name: str) -> None:
    assert name in {match[1] for match in ENTRY.finditer(LOCK)}
