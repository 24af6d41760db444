"""What a training is between two iterations: all that the next one depends on, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.host import initial_parameters, initial_statistics
from workloads.network import Network
from workloads.optimisers.optimiser import OptimiserState
from workloads.pruning import PruningState

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The state of a training; all arrays are float32.

    Attributes:
        epoch: How many are done.
        iteration: How many are done, in all epochs: the number of the next one, which keys its draws.
        statistics: Running mean and variance of batch norms, ``<layer>/mean`` and ``variance``.
        pruning: The thresholds of the last batches; None where nothing is pruned.
    """

    epoch: int
    iteration: int
    parameters: Arrays
    optimiser: OptimiserState
    statistics: Arrays
    pruning: PruningState | None


def begin_training(
    network: Network, seed: int, fifo_depth: int | None, parameters: Arrays | None = None
) -> TrainingState:
    """Make the state before the first iteration, with drawn parameters unless some are given.

    Args:
        fifo_depth: None where nothing is pruned.
    """
    return TrainingState(
        epoch=0,
        iteration=0,
        parameters=initial_parameters(network, seed) if parameters is None else parameters,
        optimiser=OptimiserState(),
        statistics=initial_statistics(network),
        pruning=None if fifo_depth is None else PruningState(fifo_depth),
    )
