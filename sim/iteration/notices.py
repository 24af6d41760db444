"""What a reader of a run's figures should know: that nothing was trained in it, or that something odd counts in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from sim.results.rows import StepResult
from workloads.network import Network
from workloads.shapes import Step
from workloads.sources.source import OperandStream
from workloads.workload import Workload

# Layers that a sentence names; of more it tells how many.
NAMED_LAYERS = 5
TENSORS = {
    "grad_output_density": ("the gradient to the output", "nothing is learned there"),
    "input_density": ("the input", "its weights learn nothing"),
    "weight_density": ("the weight", "no value and no gradient comes through"),
}


@dataclass(frozen=True, slots=True)
class Notices:
    """Sentences, without their full stops, and the layers of which a tensor is all zero on the first machine."""

    sentences: tuple[str, ...]
    dead_layers: tuple[str, ...]


def make_notices(
    workload: Workload, machines: Sequence[str], streams: Mapping[str, OperandStream], results: Sequence[StepResult]
) -> Notices:
    """Gather what is odd about a run.

    Args:
        streams: The operands of each machine, the first of which is the run's own.
    """
    sentences = [
        *(words for stream in dict.fromkeys(streams.values()) for words in stream.notices),
        *tell_single_values(workload.network),
        *tell_dead(machines, results),
        *tell_first_gta(workload, results),
    ]
    own = [step for step in results if step.machine == machines[0]]
    dead = dict.fromkeys(step.layer for step in own if any(getattr(step, column) == 0 for column in TENSORS))
    return Notices(tuple(dict.fromkeys(sentences)), tuple(dead))


def tell_dead(machines: Sequence[str], results: Sequence[StepResult]) -> Iterator[str]:
    """Tell which tensors are all zero, and on which machines, unless on all."""
    seen = " in the images that were looked at" if any(step.sampled_fraction < 1 for step in results) else ""
    for column, (tensor, meaning) in TENSORS.items():
        layers: dict[str, dict[str, None]] = {}
        for step in results:
            if getattr(step, column) == 0:
                layers.setdefault(step.layer, {})[step.machine] = None
        by_machines: dict[tuple[str, ...], list[str]] = {}
        for layer, found in layers.items():
            by_machines.setdefault(tuple(found), []).append(layer)
        for found_on, names in by_machines.items():
            where = "" if len(found_on) == len(machines) else f" on {', '.join(found_on)}"
            where += seen
            yield (
                f"{tensor} of {name_layers(names)} is all zero{where}: {meaning}, and what skipping saves there says "
                "nothing of training"
            )


def tell_single_values(network: Network) -> Iterator[str]:
    """Tell which batch norms have one value of each channel, whose mean and deviation leave nothing of it."""
    found: dict[str, list[str]] = {}
    for node in network.nodes:
        if node.layer.traits.normalises:
            batch, _, *positions = node.input_shapes[0]
            if batch * prod(positions) == 1:
                found.setdefault("1 image of 1 x 1" if positions else "1 image", []).append(node.name)
    for image, names in found.items():
        yield (
            f"batch norm {name_layers(names)} has one value of each channel to normalise ({image}): it writes its "
            "shift whatever it reads, and hands back no gradient"
        )


def tell_first_gta(workload: Workload, results: Sequence[StepResult]) -> Iterator[str]:
    """Tell which layers of a recording have a gta though nobody needs the gradient to their input."""
    remedy = workload.form.operands.needless_gta_remedy if workload.form.operands else ""
    if not remedy:
        return
    trained, layers = workload.network.trained, workload.network.compute_nodes()
    needless = {node.name for node in layers if node.inputs[0] not in trained}
    counted = dict.fromkeys(step.layer for step in results if step.step == Step.GTA.value and step.layer in needless)
    if counted:
        yield (
            f"the gta of {name_layers(list(counted))}, whose input needs no gradient in training, counts in the totals"
            f"; {remedy} leaves it out"
        )


def name_layers(names: Sequence[str]) -> str:
    """Name some layers, and tell how many more there are."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) <= NAMED_LAYERS:
        return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    return f"{', '.join(quoted[:NAMED_LAYERS])} and {len(quoted) - NAMED_LAYERS} more"
