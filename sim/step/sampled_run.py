"""One step of one layer on every machine of a sampled run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from math import prod

from dataflows.contract.tasks import SampledDataflow
from dataflows.registry import load_dataflow
from dataflows.tiling.occupancy import size_bits
from sim.architecture import Architecture, DramModel
from sim.energy import ActionCounts
from sim.machine_energy import find_prices
from sim.sampling.cluster_counts import ClusterCount
from sim.sampling.design import StepDraws
from sim.sampling.estimate import StepEstimate
from sim.sampling.ideal_sample import IdealSampler
from sim.sampling.options import SampleOptions
from sim.sampling.pool import ImagePool
from sim.sampling.step_cut import begin_cut
from sim.sampling.step_sample import StepSampler
from sim.step.measures import StepMeasures, fill
from sim.step.shares import WHOLE_SHARES, StepShares
from sim.step.stored_tensors import StoredBytes, name_gradient, size_summed
from sim.step.work import StepRun
from workloads.errors import InputError
from workloads.kinds import name_kind
from workloads.layer_images import LayerImages, read_at
from workloads.operands import Operands
from workloads.shapes import LayerShape, LinearShape, Step
from workloads.words import list_words

PRODUCT_REASON = "a tile has second factors of its own images"
TOKENS_REASON = "a tile need not hold whole images"
# Characters of a list of layers; two of them and the reasons fit the sentence of an error.
LISTED = 60

# What an estimate has by the same name as the measures of a step.
ESTIMATED = ({field.name for field in fields(StepEstimate)} & {field.name for field in fields(StepMeasures)}) - {
    "actions"
}


def require_sampled(machine: Architecture) -> SampledDataflow:
    """Give a machine's dataflow, if steps of it can be sampled.

    Raises:
        InputError: the dataflow lowers whole steps only, or the machine's DRAM has banks.
    """
    if machine.dram is not None and machine.dram.model is DramModel.BANKED:
        raise InputError(
            f"'{machine.name}' cannot be sampled: with dram.model banked the state of the banks goes on from tile to "
            "tile, so a step does not follow from some of its tiles; leave the sample away, or use dram.model constant"
        )
    dataflow = load_dataflow(machine.dataflow, machine.dataflow_options)
    if not isinstance(dataflow, SampledDataflow):
        raise InputError(
            f"the dataflow '{machine.dataflow}' of '{machine.name}' cannot be sampled: it lowers whole steps only "
            "(plan_tiles, pack_tiles and count are missing); leave the sample away"
        )
    return dataflow


def require_sampled_layers(shapes: Mapping[str, LayerShape], machines: Sequence[Architecture]) -> None:
    """Refuse layers of which no tiles can be drawn, before anything runs.

    Args:
        shapes: By the names of the layers that are to be sampled.

    Raises:
        InputError: names them, and the others.
    """
    has_tiles = any(not machine.is_ideal for machine in machines)
    refused = {
        f"products of two activations ({PRODUCT_REASON})": [
            name for name, shape in shapes.items() if has_tiles and shape.weighs_activations
        ],
        f"linear on tokens ({TOKENS_REASON})": [
            name for name, shape in shapes.items() if has_tiles and isinstance(shape, LinearShape) and shape.tokens
        ],
    }
    names = {name for group in refused.values() for name in group}
    if not names:
        return
    reasons = "; ".join(f"{words} in {list_words(group, LISTED)}" for words, group in refused.items() if group)
    others = [name for name in shapes if name not in names]
    way = f", or choose with --layers among {list_words(others, LISTED)}" if others else ""
    raise InputError(f"the run cannot be sampled because of {reasons}; leave the sample away{way}")


def run_sampled_step(
    layer: LayerImages, step: Step, machines: tuple[Architecture, ...], options: SampleOptions,
    shares: StepShares = WHOLE_SHARES,
) -> list[StepRun]:  # fmt: skip
    """Estimate one step on each machine in turn, on the same images where their tiles allow it.

    Raises:
        UnmappableLayerError: the layer does not fit a machine.
        InputError: the layer is a product of two activations, and a machine has memory.
    """
    if layer.shape.weighs_activations and not all(machine.is_ideal for machine in machines):
        raise InputError(
            f"layer '{layer.layer}', step {step}: products of two activations cannot be sampled, because "
            f"{PRODUCT_REASON}; leave the sample away, or the layer out"
        )
    layer = read_at(layer, step)
    pool, draws = ImagePool(layer), StepDraws(options.seed, layer.layer, step.value)
    bound = options.bound(layer.layer, step.value, layer.shape.nominal_macs, layer.has_all)
    runs = []
    for machine in machines:
        dataflow = require_sampled(machine)
        sampler: StepSampler | IdealSampler
        if machine.is_ideal:
            sampler = IdealSampler(pool, layer.shape, step, machine, dataflow, draws)
        else:
            share = shares.find(machine, layer.layer, step)
            sampler = StepSampler(begin_cut(pool, layer, step, machine, dataflow, draws, share))
        if options.fraction is None:
            found = sampler.estimate_within(lambda one: one.cycles_spread.half_width <= bound * one.cycles)
        else:
            found = sampler.estimate(options.fraction)
        run = make_run(layer, step, machine, found, pool.take([pool.images[0] if pool.images else 0]))
        runs.append(replace(run, result=replace(run.result, kept=shares.tell_kept(machine, layer.layer, step))))
    return runs


def make_run(layer: LayerImages, step: Step, machine: Architecture, found: StepEstimate, image: Operands) -> StepRun:
    """Make of what was estimated a step's run.

    Args:
        image: The operands of any one.
    """
    actions = None
    if find_prices(machine) is not None and found.actions is not None:
        is_pruned = step is Step.GTA and image.finish.prunes and machine.array.skip_zeros
        actions = found.actions + ActionCounts(pruned_elements=found.results if is_pruned else 0)
    result = fill(measure_estimate(layer, step, found, image, actions), machine)
    stored = describe_stored(machine, step, found, image, layer.shape.input_shape[0])
    return StepRun(result, "", None, stored, actions, spreads=(found.cycles_spread, found.energy_spread))


def measure_estimate(
    layer: LayerImages, step: Step, found: StepEstimate, image: Operands, actions: ActionCounts | None
) -> StepMeasures:
    """Gather what a step was estimated to do.

    Args:
        image: The operands of any one.
    """
    counts = {name: round(float(found.counts[name])) for name in ClusterCount}
    inputs, outputs = prod(layer.shape.input_shape), prod(layer.shape.output_shape)
    return StepMeasures(
        layer=layer.layer,
        kind=name_kind(layer.shape),
        step=step.value,
        **{name: getattr(found, name) for name in ESTIMATED},
        overhead_cycles=found.header_cycles + counts[ClusterCount.EMPTY_ISSUE_CYCLES],
        nominal_macs=layer.shape.nominal_macs,
        dense_macs=counts[ClusterCount.DENSE_MACS],
        effectual_macs=counts[ClusterCount.EFFECTUAL_MACS],
        row_ops=counts[ClusterCount.ROW_OPS],
        input_density=float(found.counts[ClusterCount.INPUT_NONZEROS]) / inputs,
        weight_density=float((image.weight != 0).mean()),
        grad_output_density=float(found.counts[ClusterCount.GRADIENT_NONZEROS]) / outputs,
        mask_density=float(found.counts[ClusterCount.MASK_NONZEROS]) / inputs,
        sampled_fraction=found.fraction,
        multiplications=counts[ClusterCount.MULTIPLICATIONS],
        actions=actions,
    )


def describe_stored(
    machine: Architecture, step: Step, found: StepEstimate, image: Operands, images: int
) -> StoredBytes:
    """Tell what the tensors of a step take on a machine, as `sim.step.layer_run.find_stored_bytes` does.

    Args:
        image: The operands of any one; the gradients that are added are counted as if all were as it is.
    """
    memory = machine.describe_memory()
    if memory is None:
        return StoredBytes()
    driver = image.input if step is Step.FORWARD else image.grad_output
    rows = images // image.shape.input_shape[0] * prod(driver.shape[:-1])
    operand = round(float(found.counts[ClusterCount.STORED_BYTES])) + size_bits(machine.array.describe(), [rows])
    written = found.dram_write_bytes + found.kept_result_bytes
    if step is Step.FORWARD:
        return StoredBytes(input=operand, output=written)
    if step is Step.GTA:
        share = images // image.shape.input_shape[0]
        summed = size_summed(image, step, machine.array.describe(), memory, share)
        told = name_gradient(operand, has_copy=image.grad_output_for_gta is not None)
        return told.merge(StoredBytes(grad_input=written, summed=summed))
    return StoredBytes(grad_output=operand)
