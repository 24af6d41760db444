"""The machines that execute iterations of a training, each by the sparsity that it meets: dense to pruned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.architecture import Architecture
from sim.iteration.policies import MASK, NATURAL, PRUNING, Contender, make_baseline
from workloads.errors import InputError

DENSE, PRUNED = "dense", "pruned"
POLICIES = (DENSE, NATURAL, MASK, PRUNED)


@dataclass(frozen=True, slots=True)
class ObservedMachine:
    """A machine in the loop of a training.

    Attributes:
        policy: One of `POLICIES`.
        machine: The name of the machine that the user asked for; one that differs by its policy alone has the same.
    """

    policy: str
    machine: str
    contender: Contender

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others."""
        return self.policy, self.machine


def list_observed(contenders: Sequence[Contender], *, prunes: bool) -> tuple[ObservedMachine, ...]:
    """List the machines of a training: those that were chosen, and the first under every policy.

    Without pruning the first machine meets zeros and masks, so that there is no `pruned`.

    Raises:
        InputError: a baseline prunes at a rate of its own, which is another training's.
    """
    found: dict[tuple[str, str], ObservedMachine] = {}
    for one in contenders:
        made = ObservedMachine(*name_policy(one, contenders[0].machine, prunes=prunes), one)
        found.setdefault(made.key, made)
    first = contenders[0].machine if contenders else None
    if first is not None and first.array.skip_zeros:
        for policy in (MASK, NATURAL):
            if (policy, first.name) not in found:
                found[policy, first.name] = ObservedMachine(policy, first.name, make_baseline(policy, first))
    return tuple(found.values())


def name_policy(one: Contender, first: Architecture, *, prunes: bool) -> tuple[str, str]:
    """Name the policy of a machine, and the machine.

    Raises:
        InputError: it prunes at a rate of its own.
    """
    name = one.policy.name
    if name.startswith(PRUNING):
        raise InputError(
            f"--baseline {name}: a training prunes at one rate, its own; --prune with several rates trains at each"
        )
    if not one.machine.array.skip_zeros:
        return DENSE, one.machine.name
    if name in (NATURAL, MASK):
        return name, first.name
    return PRUNED if prunes else MASK, one.machine.name
