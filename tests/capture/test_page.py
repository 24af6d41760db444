"""The examples of the page on recordings run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from peers import import_peer

import_peer("torch")

pytestmark = pytest.mark.peers

PAGE = Path(__file__).parents[2] / "workloads" / "capture" / "README.md"


def test_the_examples_run_one_behind_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(compile(block, "example", "exec"), names)
    assert len(blocks) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.npz", "net.yaml"]
    assert names["result"].is_correct  # type: ignore[attr-defined]
    form = names["recording"].form  # type: ignore[attr-defined]
    assert form["operands"]["pruning"]["iteration"] == 6
    assert all(form["operands"]["pruning"]["thresholds"].values())


def test_the_page_tells_the_version_that_is_locked() -> None:
    lock = (PAGE.parents[2] / "requirements-peers.lock").read_text(encoding="utf-8")
    (version,) = set(re.findall(r"^torch==([0-9.]+)", lock, re.MULTILINE))
    assert f"tested with torch {version}." in PAGE.read_text(encoding="utf-8")
