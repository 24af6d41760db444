"""The run lengths of a cut reduction are read off the tiling's words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dataflows.contract.memory import Traffic


@pytest.mark.parametrize(
    ("tiling", "runs"),
    [("1x2x3|4", (4,)), ("1x2|3x4", (3, 4)), ("1x2x3", ()), ("all", ()), ("", ()), ("1|", ()), ("1|half", ())],
)
def test_runs_stand_behind_a_bar(tiling: str, runs: tuple[int, ...]) -> None:
    read = Traffic.reduction_runs.fget
    assert read is not None
    assert read(SimpleNamespace(tiling=tiling)) == runs
