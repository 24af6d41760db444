"""Hostile inputs end in one printable sentence of a bounded length, at once, and leave nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cli.command import run_command
from cli.hostile_files import FILE_FAMILIES
from cli.hostile_inputs import INPUT_FAMILIES, Hostile

CASES = [case for make in (*INPUT_FAMILIES, *FILE_FAMILIES) for case in make()]


@pytest.fixture(autouse=True)
def _no_memory_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have little memory, so that what asks for much is refused however much there is."""
    monkeypatch.setattr("workloads.memory.available_bytes", lambda: 2**28)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_hostile_input_ends_in_one_sentence(case: Hostile, tmp_path: Path) -> None:
    arguments = case.write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    outcome = run_command(tmp_path, *arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("sparsetrain: ")
    assert outcome.stderr.endswith("\n")
    assert outcome.stderr[:-1].isprintable()
    assert len(outcome.stderr) <= len("sparsetrain: \n") + 600
    assert sorted(tmp_path.rglob("*")) == before


def test_there_are_at_least_two_hundred_of_them() -> None:
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)


def test_what_is_tried_takes_no_deep_recursion() -> None:
    assert sys.getrecursionlimit() <= 10_000
