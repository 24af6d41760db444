"""Torch is an optional extra: where it is not installed, the module that compares with it is not collected."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["test_torch.py"]
