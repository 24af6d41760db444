"""What results are compared with, where it is installed."""

from __future__ import annotations

from typing import Any

import pytest


def import_peer(name: str) -> Any:
    """Import torch, onnx or onnxruntime, or skip the module that compares with it, saying so."""
    reason = f"{name} is not installed, so nothing was compared with it; `make validate` installs it"
    return pytest.importorskip(name, reason=reason)
