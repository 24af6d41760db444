"""Commands under test find their kernels compiled."""

from __future__ import annotations

import pytest
from compiled_kernels import compile_kernels


@pytest.fixture(scope="session", autouse=True)
def _compiled_kernels() -> None:
    compile_kernels()
