"""The machines of a run, each with its policy: which kinds of sparsity its operands have."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sim.architecture import Architecture, load_architecture, override_architecture, shorten_line
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.rounding import round_operands
from workloads.settings import GradientPruning, Pruning
from workloads.training.iteration import count_warmup_batches
from workloads.value_formats import ValueFormat
from workloads.workload import Workload

SKIPPING_OFF = "skipping-off"
NO_BASELINE = "none"
NATURAL, MASK, PRUNING = "natural", "mask", "pruning@"
Baseline = str | Path | Architecture


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Which kinds of sparsity a machine's operands have; meaning says it in words.

    Attributes:
        rate: Of gradient pruning; None is the workload's own, 0 none.
        has_mask: Whether GTA is computed only where the output mask is set; without, all of it is computed, and the PPU
            zeroes the rest when it writes.
    """

    name: str
    meaning: str
    rate: float | None = None
    has_mask: bool = True

    def apply(self, workload: Workload) -> Workload:
        """Give the workload with this policy's pruning; other settings of stochastic pruning stay the workload's."""
        if self.rate is None:
            return workload
        given = workload.form.pruning
        pruning = None
        if self.rate:
            settings = given.model_dump() if isinstance(given, GradientPruning) else {}
            pruning = GradientPruning(**{**settings, "rate": self.rate})
        source = workload.form.operands
        operands = None if source is None else source.with_stated_rate(self.rate)
        form = workload.form.model_copy(update={"pruning": pruning, "operands": operands})
        return dataclasses.replace(workload, form=form)

    def restrict(self, operands: Operands) -> Operands:
        """Give the operands as the machine's PEs see them."""
        if self.has_mask or operands.mask is None:
            return operands
        late = dataclasses.replace(operands.finish, mask=operands.mask)
        return dataclasses.replace(operands, mask=None, finish=late)


AS_GIVEN = Policy("as given", "zeros, mask")


@dataclasses.dataclass(frozen=True, slots=True)
class OperandView:
    """How machines see operands: under which policy, and rounded to which format."""

    policy: Policy
    form: ValueFormat
    loss_scale: int

    @property
    def changes_nothing(self) -> bool:
        """Whether operands are seen as they are."""
        return self.policy.has_mask and self.form is ValueFormat.FLOAT32

    def show(self, operands: Operands) -> Operands:
        """Give the operands as the PEs see them."""
        return self.policy.restrict(round_operands(operands, self.form, self.loss_scale))


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """A machine of a run and its policy; the machine's name tells both."""

    machine: Architecture
    policy: Policy = AS_GIVEN


def choose_contenders(
    arch: Baseline, baseline: Baseline | Sequence[Baseline] | None, overrides: tuple[str, ...]
) -> tuple[Contender, ...]:
    """Load the machine and its baselines; overrides change the machine, and the baselines that are made from it.

    A baseline is a preset, a file, `skipping-off`, or one of the policies `natural`, `mask` and `pruning@RATE`; None
    and `none` are no baseline.

    Raises:
        InputError: a name, file or override cannot be used, or two machines have one name.
    """
    if isinstance(arch, Architecture):
        machine = override_architecture(arch, None, overrides)
    else:
        machine = load_architecture(arch, overrides)
    contenders = [Contender(machine)]
    for one in parse_baselines(baseline):
        other = make_baseline(one, machine)
        if other.machine == machine and one == SKIPPING_OFF:
            continue
        if other.machine.name == machine.name:
            raise InputError(
                f"the machine and its baseline are both named '{machine.name}'; the results could not be told apart"
            )
        if other.machine.name in [taken.machine.name for taken in contenders]:
            raise InputError(
                f"two baselines are both named '{other.machine.name}'; the results could not be told apart"
            )
        contenders.append(other)
    return tuple(contenders)


def parse_baselines(given: Baseline | Sequence[Baseline] | None) -> list[Baseline]:
    """List what is given as baselines; names are split at commas, unless a file has such a name.

    Raises:
        InputError: `none` stands beside others.
    """
    listed = [] if given is None else [given] if isinstance(given, Baseline) else list(given)
    names: list[Baseline] = []
    for one in listed:
        is_list = isinstance(one, str) and not is_file_name(one)
        names += [part.strip() for part in str(one).split(",")] if is_list else [one]
    if NO_BASELINE not in names:
        return names
    if len(names) > 1:
        raise InputError("--baseline none leaves baselines out; it cannot stand beside others")
    return []


def is_file_name(text: str) -> bool:
    """Tell whether a file has this name."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def make_baseline(given: Baseline, machine: Architecture) -> Contender:
    """Load a baseline, or make it from the machine by a policy.

    Raises:
        InputError: the name, the file or the rate cannot be used, or the machine skips nothing.
    """
    if isinstance(given, Architecture):
        return Contender(given)
    policy = parse_policy(given) if isinstance(given, str) else None
    if policy is None:
        is_dense = isinstance(given, str) and given == SKIPPING_OFF
        return Contender(machine.without_skipping() if is_dense else load_architecture(given))
    if not machine.array.skip_zeros:
        raise InputError(
            f"--baseline {given}: the policy tells what a machine skips, but '{machine.name}' skips nothing"
        )
    name = f"{machine.name}-{policy.name.replace('@', '-')}"
    return Contender(machine.model_copy(update={"name": name}), policy)


def parse_policy(text: str) -> Policy | None:
    """Give the policy of a name, or None where the name is none.

    Raises:
        InputError: the rate of pruning is not a number above 0 and below 1.
    """
    if text == NATURAL:
        return Policy(NATURAL, "zeros", rate=0.0, has_mask=False)
    if text == MASK:
        return Policy(MASK, "zeros, mask", rate=0.0)
    if not text.startswith(PRUNING):
        return None
    try:
        rate = float(text.removeprefix(PRUNING))
    except ValueError:
        rate = -1.0
    if not 0 < rate < 1:
        raise InputError(
            f"--baseline {shorten_line(text)}: the rate must be a number above 0 and below 1, such as pruning@0.9"
        )
    return Policy(f"{PRUNING}{rate:g}", "zeros, mask, pruning", rate=rate)


@dataclasses.dataclass(frozen=True)
class OperandSet:
    """A workload with one setting of pruning, and the machines that work on its operands."""

    workload: Workload
    contenders: tuple[Contender, ...]

    def deal(self, operands: Operands) -> list[tuple[Operands, tuple[Architecture, ...]]]:
        """Give the operands as each machine's PEs see them, machines that see the same together."""
        return [(view.show(operands), machines) for view, machines in self.group_views()]

    def group_views(self) -> list[tuple[OperandView, tuple[Architecture, ...]]]:
        """Group the machines whose PEs see the same operands, each group with how it sees them."""
        groups: dict[tuple[bool, ValueFormat, int], list[Contender]] = {}
        for has_mask in (True, False):
            for one in self.contenders:
                if one.policy.has_mask is has_mask:
                    key = has_mask, one.machine.values, one.machine.loss_scale
                    groups.setdefault(key, []).append(one)
        return [
            (OperandView(chosen[0].policy, form, scale), tuple(one.machine for one in chosen))
            for (_, form, scale), chosen in groups.items()
        ]


def group_contenders(workload: Workload, contenders: Sequence[Contender]) -> tuple[OperandSet, ...]:
    """Group machines by the pruning of their operands, in the order of the first of each group."""
    groups: dict[Pruning | None, list[Contender]] = {}
    workloads: dict[Pruning | None, Workload] = {}
    for contender in contenders:
        applied = contender.policy.apply(workload)
        groups.setdefault(applied.form.pruning, []).append(contender)
        workloads.setdefault(applied.form.pruning, applied)
    return tuple(OperandSet(workloads[pruning], tuple(chosen)) for pruning, chosen in groups.items())


def number_iteration(sets: Sequence[OperandSet]) -> int:
    """Number the simulated iteration, the same for every machine: it stands behind the longest warm-up."""
    return max(count_warmup_batches(one.workload.form.pruning) for one in sets)


def describe_shift(workload: Workload, iteration: int) -> str | None:
    """Say that baselines moved the simulated iteration behind where the workload alone has it; None if they did not.

    Only operands of training iterations know of them.
    """
    own = count_warmup_batches(workload.form.pruning)
    source = workload.form.operands
    if iteration == own or source is None or not source.runs_iteration:
        return None
    return (
        f"a baseline fills its FIFO of thresholds in {iteration} warm-up iterations, so all machines simulate "
        f"iteration {iteration} and its images, not {own}; without that baseline figures differ"
    )
