"""Why products of two activations are not sampled."""

from __future__ import annotations

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem


def refuse_sample(problem: StepProblem) -> UnmappableLayerError:
    """Make the error of a sample of a product, whose tasks in GTW belong to one image each."""
    own = problem.own
    return UnmappableLayerError(
        f"layer {own.operands.layer!r}, step {own.step}: cannot be sampled, because it is a product of two "
        "activations; leave the sample away, or the layer out"
    )
