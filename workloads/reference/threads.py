"""A fixed number of BLAS threads, so that a result does not depend on who computes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

# Of the host's pass, which runs alone, and of a layer's step, beside which other steps run.
BLAS_THREADS = 2
STEP_BLAS_THREADS = 1


@contextmanager
def fixed_blas_threads(threads: int = BLAS_THREADS) -> Iterator[None]:
    """Run the block with so many threads: their number decides how BLAS splits a sum, and so its rounding."""
    # BLAS may raise the invalid flag on lanes that it pads, whatever the operands.
    with _blas_controller().limit(limits=threads, user_api="blas"), np.errstate(invalid="ignore"):
        yield


@cache
def _blas_controller() -> ThreadpoolController:
    # Listing the loaded libraries takes milliseconds; numpy's BLAS is loaded with numpy and stays.
    return ThreadpoolController()
