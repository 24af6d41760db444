"""Whether two networks compute the same: one training iteration of each, compared bit for bit."""

from __future__ import annotations

import numpy as np

from workloads.draws import keyed_generator
from workloads.host import initial_parameters, run_iteration
from workloads.losses import count_classes
from workloads.network import Network


def find_difference(before: Network, after: Network, seed: int = 1) -> str | None:
    """Run an iteration of two networks with a loss on the same random images, and tell what differs first, or None.

    Compared are the parameters' names and shapes, the loss, and the gradient to each parameter.

    Raises:
        InputError: one of them has no loss.
    """
    parameters = initial_parameters(before, seed)
    others = initial_parameters(after, seed)
    if {name: one.shape for name, one in parameters.items()} != {name: one.shape for name, one in others.items()}:
        return "the parameters"
    generator = keyed_generator(seed, "images")
    images = generator.standard_normal(before.input_shape, dtype=np.float32)
    labels = generator.integers(0, count_classes(before), before.input_shape[0])
    first, second = (run_iteration(network, parameters, images, labels, seed=seed) for network in (before, after))
    if first.loss != second.loss:
        return f"the loss, {first.loss!r} before and {second.loss!r} after"
    for name, gradient in first.grads.items():
        if not np.array_equal(gradient, second.grads[name]):
            return f"the gradient to '{name}'"
    return None
