"""What compares with torch, onnx or onnxruntime is found by `make validate`, which installs them."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
MODULES = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]


@pytest.mark.parametrize("call", ["import_peer(", "importorskip("])
def test_every_module_that_may_be_skipped_bears_the_mark_by_which_it_is_chosen(call: str) -> None:
    skipping = [path for path in MODULES if call in path.read_text(encoding="utf-8")]
    assert [path.name for path in skipping if "pytest.mark.peers" not in path.read_text(encoding="utf-8")] == []


def test_there_are_such_modules() -> None:
    assert len([path for path in MODULES if "import_peer(" in path.read_text(encoding="utf-8")]) > 10
