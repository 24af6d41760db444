"""What a run is asked for: one record that the command line, Python, sweeps and ``run.json`` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sim.architecture import Architecture
from sim.iteration.policies import Contender
from sim.iteration.sampling import name_sample, parse_sample
from sim.iteration.tilings import PinnedTilings
from sim.machine.accelerator import Engine
from sim.results.run_inputs import describe_inputs
from sim.results.run_outputs import OutputRequest
from workloads.errors import InputError
from workloads.shapes import Step
from workloads.words import list_words, tell_pattern
from workloads.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationRequest:
    """What a run is asked for; whatever can change its results stands in `describe`, and so in ``run.json``.

    Attributes:
        layers: The pattern that was given.
        chosen: The layers that match it.
        sample: As `name_sample` writes it, None for whole steps.
        memory_limit: Bytes, or text such as ``512MiB``, that the host's pass keeps in memory.
    """

    workload: Workload
    contenders: tuple[Contender, ...]
    steps: tuple[Step, ...]
    layers: str
    chosen: frozenset[str]
    sample: str | float | None = None
    engine: Engine = Engine.COMPILED
    verifies: bool = True
    jobs: int = 1
    memory_limit: str | int | None = None
    outputs: OutputRequest = field(default_factory=OutputRequest)
    tilings: PinnedTilings = field(default_factory=PinnedTilings)

    @property
    def machines(self) -> tuple[Architecture, ...]:
        """The machine, and those that it is compared with."""
        return tuple(contender.machine for contender in self.contenders)

    @property
    def is_whole(self) -> bool:
        """Whether every layer is chosen."""
        return len(self.chosen) == len(self.workload.network.compute_nodes())

    @property
    def fraction(self) -> float | None:
        """The fraction of tiles that is sampled; None for as few as the aim allows."""
        return self.sample if isinstance(self.sample, float) else None

    @property
    def is_verified(self) -> bool:
        """Whether values are compared with the reference; a sampled run has none."""
        return self.verifies and self.sample is None

    @property
    def nominal_macs(self) -> int:
        """Nominal MACs of the run on one machine."""
        network = self.workload.network
        return sum(network.layer_shape(name).nominal_macs for name in self.chosen) * len(self.steps)

    def describe(self) -> dict[str, Any]:
        """Give everything that the results depend on, as ``run.json`` holds it; a pattern of all layers is ``*``."""
        options: dict[str, Any] = {
            "engine": self.engine.value, "sample": self.sample, "verify": self.is_verified
        }  # fmt: skip
        if self.tilings.pins:
            options["tilings"] = self.tilings.describe()
        selection = {
            "steps": [step.value for step in self.steps],
            "layers": "*" if self.is_whole else self.layers,
            "options": options,
        }
        return describe_inputs(self.workload, self.machines, selection)


def parse_steps(steps: Sequence[str | Step]) -> tuple[Step, ...]:
    """Give the steps in the order of their execution.

    Raises:
        InputError: a step is unknown, or none is given.
    """
    allowed = ", ".join(Step)
    for step in steps:
        if step not in tuple(Step):
            raise InputError(f"unknown step '{step}'; the steps are {allowed}")
    if not steps:
        raise InputError(f"no step is given; the steps are {allowed}")
    return tuple(step for step in Step if step in steps)


def parse_engine(engine: str | Engine) -> Engine:
    """Give the engine of this name.

    Raises:
        InputError: there is none.
    """
    if engine not in tuple(Engine):
        raise InputError(f"unknown engine '{engine}'; the engines are {', '.join(Engine)}")
    return Engine(engine)


def parse_jobs(jobs: int) -> int:
    """Give the number of worker processes.

    Raises:
        InputError: there are none.
    """
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    return jobs


def parse_request_sample(sample: str | float | None) -> str | float | None:
    """Give a sample as it stands in ``run.json``; None asks for whole steps.

    Raises:
        InputError: it is neither `auto` nor a fraction.
    """
    return None if sample is None else name_sample(sample, parse_sample(sample))


def choose_layers(workload: Workload, pattern: str) -> frozenset[str]:
    """Name the convolution and fully connected layers that match a pattern.

    Raises:
        InputError: none matches.
    """
    names = [node.name for node in workload.network.compute_nodes()]
    chosen = frozenset(name for name in names if fnmatchcase(name, pattern))
    if not chosen:
        raise InputError(f"no layer matches '{pattern}'{tell_pattern(pattern)}; the layers are {list_words(names)}")
    return chosen
