"""What a study of trainings is asked for: a workload, rates of pruning, seeds, and what executes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypedDict

from sim.architecture import Architecture
from sim.content import ContentDigests
from sim.iteration.options import choose_workload, require_options
from sim.iteration.policies import SKIPPING_OFF, Baseline, Contender, choose_contenders
from sim.iteration.request import parse_jobs, parse_request_sample
from sim.results.run_inputs import describe_inputs
from sim.sweep.identity import describe_dataflow, digest_json, digest_technology, is_file
from sim.version import MODEL_VERSION
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.open_form import list_providers
from workloads.training.form import SimulatedIterations, TrainingForm
from workloads.training.hosts.table import load_host
from workloads.training.opening import choose_pruning, require_training
from workloads.validation import validate_document
from workloads.workload import Workload

SEED_LIMIT = 1000
# In what provides an extension: the name of this package, whose version stands by itself.
OWN_PACKAGE = "/sparsetrain/"
# Options that stand in the place of fields of the section.
SIZES = ("epochs", "batch", "images", "test_images")
CHANGING = (*SIZES, "simulate_every", "simulate_images")
# What is of the machine alone, as messages name it.
MACHINE_OPTIONS = {
    "overrides": "--set",
    "baseline": "--baseline",
    "sample": "--sample",
    "simulate_every": "--simulate-every",
    "simulate_images": "--simulate-images",
}


class TrainOptions(TypedDict, total=False):
    """What may be said of a study beside its workload and its machine; each has a default.

    Attributes:
        prune: Rates of pruning, 0 for none; by default the workload's own.
        seeds: So many trainings at each rate, with the seeds from the workload's own on.
        epochs: Instead of the workload's; likewise batch, images and test_images.
        data: The address of other images.
        weights: An .npz file of initial parameters; without it they are drawn.
        host: ``numpy``, the reference, or ``torch``, which may name a device: ``torch:cuda``.
        simulate: Whether the machine executes some of the iterations; by default it does.
        simulate_every: Epochs from one such iteration to the next, instead of the workload's; likewise
            simulate_images, the images of its batch that are executed.
        sample: As of a simulation.
        baseline: The machines to compare with, by default the same one with skipping off; the machine is executed
            without pruning, and without masks, besides.
        overrides: ``KEY=VALUE`` for fields of the architecture.
        jobs: Worker processes, each with a training of its own.
        scheduler: Address of a Dask scheduler whose workers train in their place.
        overwrite: Whether a training with other inputs may be replaced.
        resume: Whether there has to be a training to go on with.
    """

    prune: Sequence[float] | None
    seeds: int
    epochs: int | None
    batch: int | None
    images: int | None
    test_images: int | None
    data: str | None
    weights: str | Path | None
    host: str
    simulate: bool
    simulate_every: int | None
    simulate_images: int | None
    sample: str | float | None
    baseline: Baseline | Sequence[Baseline] | None
    overrides: Sequence[str]
    jobs: int
    scheduler: str | None
    overwrite: bool
    resume: bool


@dataclass(frozen=True, slots=True)
class RunKey:
    """One training of a study."""

    rate: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder; no two rates have one."""
        return f"rate{self.rate!r}-seed{self.seed}".replace(".0-", "-")


@dataclass(frozen=True, eq=False)
class TrainRequest:
    """A study of trainings.

    Attributes:
        contenders: The machine, and those that it is compared with; none where nothing is simulated.
        sample: As `sim.iteration.sampling.name_sample` writes it.
    """

    workload: Workload
    keys: tuple[RunKey, ...]
    host: str
    weights: str | Path | None
    contenders: tuple[Contender, ...]
    sample: str | float | None
    jobs: int = 1
    scheduler: str | None = None

    @property
    def form(self) -> TrainingForm:
        """The section of the workload, with what was chosen besides."""
        return require_training(self.workload)[0]

    @property
    def machines(self) -> tuple[Architecture, ...]:
        """The machine, and those that it is compared with."""
        return tuple(contender.machine for contender in self.contenders)

    def describe(self) -> dict[str, Any]:
        """Give everything that the results of every rate and seed depend on."""
        return dict(self._inputs)

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        """Read what files hold once a study, not once for each of its trainings: data sets may be large."""
        digests, resolved = ContentDigests(), self.workload.resolved()
        resolved.pop("description", None)
        resolved = digests.replace_paths(resolved)
        machines: dict[str, Any] = {"architecture": None}
        if self.contenders:
            machines = describe_inputs(self.workload, self.machines, {})
            machines.pop("workload")
        if guests := self.describe_guests():
            machines["guests"] = guests
        return {
            "workload": resolved,
            **machines,
            "host": self.host,
            "weights": None if self.weights is None else digests.digest(Path(self.weights)),
            "options": {"sample": self.sample},
            "version": MODEL_VERSION,
        }

    def describe_guests(self) -> dict[str, Any]:
        """Give what is not of this package: versions of extensions, and what files of technologies hold."""
        names = {machine.technology for machine in self.machines if machine.technology is not None}
        found: dict[str, Any] = {name: digest_technology(Path(name)) for name in sorted(names) if is_file(name)}
        for machine in self.machines:
            if providers := [one for one in describe_dataflow(machine.dataflow)[1:] if OWN_PACKAGE not in one]:
                found[machine.dataflow] = providers
        if providers := list_providers(self.workload.form):
            found["workload"] = providers
        return found

    def digest(self, key: RunKey) -> str:
        """Give the digest of all that one training depends on."""
        return digest_json({**self.describe(), "rate": key.rate, "seed": key.seed})


def make_train_request(
    workload: str | Path | Workload, arch: str | Path | Architecture, options: TrainOptions
) -> TrainRequest:
    """Make the request of a study.

    Raises:
        InputError: something that was given cannot be used; the message names it.
        TypeError: an option is unknown.
    """
    require_options("train", options, TrainOptions)
    if not options.get("simulate", True):
        refuse_unused(options)
    loaded = change_form(choose_workload(workload, {"data": options.get("data")}), options)
    _, source = require_training(loaded)
    contenders: tuple[Contender, ...] = ()
    if options.get("simulate", True):
        contenders = choose_contenders(arch, options.get("baseline", SKIPPING_OFF), tuple(options.get("overrides", ())))
    return TrainRequest(
        workload=loaded,
        keys=tuple(
            RunKey(rate, source.seed + number)
            for rate in choose_rates(loaded, options.get("prune"))
            for number in range(check_seeds(options.get("seeds", 1)))
        ),
        host=choose_host(options.get("host", "numpy"), options.get("scheduler")),
        weights=options.get("weights"),
        contenders=contenders,
        sample=parse_request_sample(options.get("sample")),
        jobs=parse_jobs(options.get("jobs", 1)),
        scheduler=options.get("scheduler"),
    )


def refuse_unused(options: TrainOptions) -> None:
    """Refuse what is said of a machine that executes nothing.

    Raises:
        InputError: names the first such option.
    """
    for name, words in MACHINE_OPTIONS.items():
        if options.get(name) not in (None, (), []):
            raise UnusedOptionError(words)


class UnusedOptionError(InputError):
    """An option of the machine beside `--no-simulate`."""

    def __init__(self, option: str) -> None:
        super().__init__(f"{option} is of the machine, and with --no-simulate none executes anything; leave one out")


def choose_host(name: str, scheduler: str | None) -> str:
    """Give the name of a host that is there; on a cluster its workers see to that.

    Raises:
        InputError: it is not.
    """
    if scheduler is None:
        load_host(name)
    return name


def change_form(workload: Workload, options: TrainOptions) -> Workload:
    """Give the workload with another section of training; what is None stays.

    Raises:
        InputError: the section is missing, or a number does not fit.
    """
    form, _ = require_training(workload)
    data = form.model_dump(mode="json", exclude_none=True)
    for name in SIZES:
        if options.get(name) is not None:
            data[name] = options.get(name)
    if not options.get("simulate", True):
        data.pop("simulate_at", None)
    else:
        at = data.get("simulate_at") or SimulatedIterations().model_dump()
        at |= {
            field: options.get(f"simulate_{name}")
            for field, name in (("every_epochs", "every"), ("images", "images"))
            if options.get(f"simulate_{name}") is not None
        }
        data["simulate_at"] = at
    label = tell_options(workload.label, options)
    document = YamlDocument(label, {"training": data})
    changed = validate_document(document, TrainingForm, within=("training",))
    if options.get("simulate_images") is None and (options.get("batch") is not None or form.simulate_at is None):
        changed = fit_images(changed)
    if changed.simulate_at is not None and changed.batch % changed.simulate_at.images:
        raise InputError(
            f"{label}: training.simulate_at.images must divide the {changed.batch} images of a batch, which "
            f"the machine works in equal parts, got {changed.simulate_at.images}"
        )
    renamed = replace(workload, document=replace(workload.document, label=label))
    return renamed.with_training(changed)


def tell_options(label: str, options: TrainOptions) -> str:
    """Name a workload with what was chosen in place of its section, so that no message blames the file for it."""
    given = [f"--{name.replace('_', '-')} {options.get(name)}" for name in CHANGING if options.get(name) is not None]
    return f"{label} with {' '.join(given)}" if given else label


def fit_images(form: TrainingForm) -> TrainingForm:
    """Give a section whose batch is cut into parts that were meant for another one, as large as divides both."""
    at = form.simulate_at
    if at is None:
        return form
    fitting = at.model_copy(update={"images": gcd(at.images, form.batch)})
    return form.model_copy(update={"simulate_at": fitting})


def choose_rates(workload: Workload, rates: Sequence[float] | None) -> tuple[float, ...]:
    """Give the rates of pruning, each once, in the order that was given.

    Raises:
        InputError: one is no rate, or none is given.
    """
    if rates is None:
        own = workload.form.pruning
        return (0.0 if own is None else own.rate,)
    if isinstance(rates, str | float | int) or not all(map(is_number, rates)):
        raise InputError(f"prune must be a list of numbers from 0 to below 1, got {rates!r}")
    if not len(rates):
        raise InputError("no rate of pruning is given; 0 trains without")
    for rate in rates:
        choose_pruning(workload, rate)
    # Minus zero is zero, and has a name of its own.
    return tuple(dict.fromkeys(float(rate) + 0.0 for rate in rates))


def is_number(value: object) -> bool:
    """Tell whether a value is a number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_seeds(seeds: int) -> int:
    """Give the number of seeds.

    Raises:
        InputError: there are none, or too many.
    """
    if not isinstance(seeds, Integral) or isinstance(seeds, bool) or not 1 <= seeds <= SEED_LIMIT:
        raise InputError(f"seeds must be a whole number from 1 to {SEED_LIMIT}, got {seeds}")
    return seeds
