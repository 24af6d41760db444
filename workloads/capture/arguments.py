"""The tensors among what a torch function is given and gives out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from workloads.capture.calls import Tensor


def list_tensors(value: Any) -> list[Tensor]:
    """List the tensors among a call's arguments or outputs, in lists, tuples and mappings too."""
    return list(_walk(value))


def _walk(value: Any) -> Iterator[Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _walk(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _walk(one)
