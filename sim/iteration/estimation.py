"""Estimate the steps of a run, and those again that keep a machine's total from being as narrow as it is aimed at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from sim.architecture import Architecture
from sim.iteration.policies import OperandSet
from sim.iteration.progress import Teller
from sim.iteration.sampling import list_samples
from sim.iteration.workers import execute_work
from sim.sampling.intervals import add_independent
from sim.sampling.options import AIM
from sim.step.work import StepOptions, StepRun
from workloads.layer_images import LayerImages
from workloads.shapes import Step
from workloads.sources.source import OperandStream

# Of the aim, what the second estimates are held to: the cycles that they go by are estimates too.
CAUTION = 0.9
Key = tuple[str, str]


def estimate_steps(
    stream: OperandStream,
    one: OperandSet,
    layers: frozenset[str],
    steps: Sequence[Step],
    options: StepOptions,
    jobs: int,
    teller: Teller,
) -> list[list[StepRun]]:
    """Estimate every wanted (layer, step) of a set of operands; each is told of when it was estimated.

    With no fraction asked for, and operands that can be made again, a second pass goes by the cycles that the first one
    found: if each step keeps within the aim over the root of its share of the cycles, the total keeps within the aim.
    """
    assert options.sample is not None
    found: dict[tuple[Key, tuple[str, ...]], list[StepRun]] = {}
    with execute_work(list_samples(stream, one, layers, steps), options, jobs) as executed:
        for runs in executed:
            found[name_runs(runs)] = runs
            teller.tell(runs)
    bounds = {} if options.sample.fraction is not None or stream.images is None else find_bounds(list(found.values()))
    if bounds:
        for ((layer, step), _), runs in found.items():
            if (layer, step) in bounds:
                teller.expect(runs)

        def list_again() -> Iterator[tuple[LayerImages, Step, tuple[Architecture, ...]]]:
            for layer, step, machines in list_samples(stream, one, layers, steps):
                if (layer.layer, step.value) in bounds:
                    yield layer, step, machines

        tighter = dataclasses.replace(options, sample=dataclasses.replace(options.sample, bounds=bounds))
        with execute_work(list_again(), tighter, jobs) as executed:
            for runs in executed:
                found[name_runs(runs)] = choose_narrower(found[name_runs(runs)], runs)
                teller.tell(runs)
    return list(found.values())


def name_runs(runs: Sequence[StepRun]) -> tuple[Key, tuple[str, ...]]:
    """Tell runs of one step on some machines from all others."""
    return (runs[0].result.layer, runs[0].result.step), tuple(run.result.machine for run in runs)


def choose_narrower(first: Sequence[StepRun], second: Sequence[StepRun]) -> list[StepRun]:
    """Give, of two estimates on each machine, the one with the narrower interval; of equal ones the second."""
    return [
        one if one.result.cycles_ci95 < other.result.cycles_ci95 else other
        for one, other in zip(first, second, strict=True)
    ]


def find_bounds(found: Sequence[Sequence[StepRun]]) -> dict[Key, float]:
    """Give new bounds for the steps that are too wide, by (layer, step), if a machine's total is."""
    bounds: dict[Key, float] = {}
    for machine in {run.result.machine for runs in found for run in runs}:
        mine = [run for runs in found for run in runs if run.result.machine == machine]
        total = sum(run.result.cycles for run in mine)
        spread = add_independent(run.spreads[0] for run in mine if run.spreads is not None)
        if spread.half_width <= AIM * total:
            continue
        for run in mine:
            key, cycles = (run.result.layer, run.result.step), run.result.cycles
            if not cycles:
                continue
            bound = CAUTION * AIM * (total / cycles) ** 0.5
            if run.result.cycles_ci95 > bound * cycles:
                bounds[key] = min(bound, bounds.get(key, bound))
    return bounds
