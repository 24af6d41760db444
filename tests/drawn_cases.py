"""Of many drawn cases every eleventh runs by default; the others bear a mark by which `make validate` chooses them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

# What is drawn may depend on an index modulo 2 to 5, so a stride that shares no factor with these keeps every kind.
STRIDE = 11

exhaustive = pytest.mark.exhaustive


def thin(cases: Iterable[Any]) -> list[Any]:
    """Mark all cases but every eleventh, counted from the first; a case is a value or a tuple of values."""
    return [
        case if place % STRIDE == 0 else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=exhaustive)
        for place, case in enumerate(cases)
    ]
