"""Why products of two activations are not sampled on a machine with memory."""

from __future__ import annotations

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem


def refuse_sample(problem: StepProblem) -> UnmappableLayerError:
    """Make the error of a sample of a product's tiles, each of which has second factors of its own."""
    own = problem.own
    return UnmappableLayerError(
        f"layer {own.operands.layer!r}, step {own.step}: cannot be sampled on a machine with memory, because it is a "
        "product of two activations; leave the sample away, or the layer out"
    )
