"""The laws of extensions of workloads, to be called in the tests of whoever writes one."""

from __future__ import annotations

import dataclasses
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np
from numpy.typing import NDArray

from workloads.draws import keyed_generator
from workloads.errors import InputError
from workloads.imported_workload import make_imported
from workloads.importers.importer import BEGINNING_BYTES, ImportedNetwork, Importer, ImportRequest
from workloads.layer_images import select_images
from workloads.layers import StrictModel
from workloads.masks.producer import MaskKey, MaskProducer
from workloads.opening import make_request
from workloads.operands import Operands
from workloads.optimisers.optimiser import Optimiser, OptimiserState
from workloads.pruners.threshold_model import ThresholdModel
from workloads.rewrites.equality import find_difference
from workloads.rewrites.rewrite import Rewrite, rewrite_network
from workloads.shapes import Step
from workloads.sources.source import OperandSource, OperandStream
from workloads.workload import Workload

# What no importer may take for its own: a workload, an archive of arrays, nothing.
FOREIGN_FILES = {
    "workload.yaml": b"name: small\nlayers:\n  - {name: fc, type: linear, out_features: 3}\n",
    "weights.npz": b"PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00!\x00fc/weight.npy",
    "nothing.yaml": b"",
}

# Of a float32 threshold that is computed in another order of the same sums.
ROUNDING = 1e-6


class ConformanceError(AssertionError):
    """An extension breaks a law of its kind; the message names the extension and says which."""


def check_source(source: OperandSource, workload: Workload) -> None:
    """Open a source for a workload twice, and hold its operands against what their record promises.

    Raises:
        ConformanceError: its form is not read back as it is written, a layer is missing or out of order, a tensor has
            another shape or type than the layer, is not finite or not the same again, there is a GTA where the source
            says that there is none, or images made singly are not those of the batch.
        InputError: the source refuses the workload.
    """
    words = f"the operand source '{source.source}'"
    check_form(source, "source", words)
    request = make_request(workload)
    source.check(request)
    network = workload.network
    first, again = source.open(request), source.open(request)
    if source.makes_images and first.images is None:
        _refuse(words, "says that it makes images singly, but gives none")
    made = list(first.layers)
    expected = [node.name for node in network.compute_nodes()]
    if [operands.layer for operands in made] != expected:
        _refuse(words, f"must give the layers {', '.join(expected)}, in this order")
    for operands, repeated in zip(made, again.layers, strict=True):
        place = f"{words}, layer '{operands.layer}'"
        _check_tensors(place, operands, network.layer_shape(operands.layer) == operands.shape)
        if not same_operands(operands, repeated):
            _refuse(place, "is not the same when it is opened again")
        is_needless = network.node(operands.layer).inputs[0] not in network.trained
        if source.follows_training and is_needless and Step.GTA in operands.steps:
            _refuse(place, "has a GTA, whose result is not needed in training")
    _check_images(words, first, made)


def check_importer(importer: Importer, path: Path) -> ImportedNetwork:
    """Hold an importer against a file of its form, which it makes a workload, and others, which it does not recognise.

    Raises:
        ConformanceError: it has no words, does not recognise the file or recognises YAML, an archive or nothing, or
            what it makes differs from one time to the next, or is no workload.
        InputError: the importer refuses the file.
    """
    words = f"the importer {type(importer).__name__}"
    if not getattr(importer, "words", ""):
        _refuse(words, "has no words for its files")
    if not importer.recognises(path, path.read_bytes()[:BEGINNING_BYTES]):
        _refuse(words, f"does not recognise {path.name}")
    for name, beginning in FOREIGN_FILES.items():
        if importer.recognises(Path(name), beginning):
            _refuse(words, f"recognises {name}, which is of another form")
    request = ImportRequest(path, path.name, 1)
    found, again = importer.read(request), importer.read(request)
    if found.data != again.data:
        _refuse(words, "does not make the same again")
    try:
        make_imported(found, path.name)
    except InputError as error:
        _refuse(words, f"makes what is no workload: {error}")
    return found


def check_mask_producer(producer: MaskProducer) -> None:
    """Have a producer mask small and larger weights, and hold what it leaves against what `MaskedWeights` promises.

    Raises:
        ConformanceError: its form is not read back as it is written, the weights given are changed, those that live are
            not the given ones in float32, none or too few are frozen where the form says so, or the result is not the
            same again, in another order of layers.
    """
    words = f"the mask producer '{producer.method}'"
    check_form(producer, "method", words)
    shapes = ((4, 3, 3, 3), (8, 1, 1, 1), (2, 3), (1, 1))
    keys = [MaskKey(seed, f"layer{index}") for seed in (0, 1) for index, _ in enumerate(shapes)]
    made = [
        keyed_generator(key.seed, key.layer).standard_normal(shapes[int(key.layer[5:])], np.float32) for key in keys
    ]
    kept = [weights.copy() for weights in made]
    first = [producer.produce(weights, None, key) for weights, key in zip(made, keys, strict=True)]
    again = [producer.produce(weights, None, key) for weights, key in zip(made[::-1], keys[::-1], strict=True)][::-1]
    for weights, before, found, repeated in zip(made, kept, first, again, strict=True):
        place = f"{words}, weights of shape {weights.shape}"
        if not np.array_equal(weights, before):
            _refuse(place, "changes the weights that it is given")
        if found.weights.dtype != np.float32 or found.weights.shape != weights.shape:
            _refuse(place, "must leave float32 weights of this shape")
        if not np.array_equal(found.weights, np.where(found.mask, weights, np.float32(0))):
            _refuse(place, "must leave the weights inside the mask as they are, and zeros outside")
        if (found.frozen is not None) != producer.freeze:
            _refuse(place, "must say which weights are frozen where `freeze` is set, and otherwise None")
        if found.frozen is not None and not (found.mask | found.frozen).all():
            _refuse(place, "must freeze all weights outside the mask")
        if not all(_same(getattr(found, name), getattr(repeated, name)) for name in ("weights", "mask", "frozen")):
            _refuse(place, "is not the same when it is asked again, after other layers")


def check_rewrite(rewrite: Rewrite, workload: Workload) -> None:
    """Rewrite the network of a workload that declares no rewrite, and hold the result against what is claimed.

    Raises:
        ConformanceError: the form is not read back as it is written, the rewrite matches nothing, changes the shape of
            the images or of what the last layer reads, or claims an equality that an iteration on the host disproves.
        InputError: it makes no network or does not come to an end, or equality is claimed of a network without a loss.
    """
    words = f"the rewrite '{rewrite.method}'"
    check_form(rewrite, "method", words)
    before = workload.network
    if not any(rewrite.matches(node, before) for node in before.nodes):
        _refuse(words, f"matches no layer of {workload.label}")
    after = rewrite_network(before, [rewrite], workload.label)
    if (after.input_shape, after.nodes[-1].input_shapes) != (before.input_shape, before.nodes[-1].input_shapes):
        _refuse(words, f"changes what the last layer of {workload.label} reads")
    difference = find_difference(before, after) if rewrite.claims_equality else None
    if difference is not None:
        _refuse(words, f"claims equality, but changes {difference}")


def check_threshold_model(model: ThresholdModel) -> None:
    """Fit a threshold model to gradients of several distributions, and hold what it gives against its protocol.

    Raises:
        ConformanceError: it changes what it is given, gives no float32 value of at least 0 or no density of 0 to 1,
            depends on signs, memory layout or what lies outside the mask, does not grow with the gradient or with the
            rate, prunes at the rate 0 or where there is nothing to prune, or is not the same again.
    """
    words = f"the threshold model {type(model).__name__}"
    for name, gradient in draw_gradients().items():
        place = f"{words}, {name}"
        mask, before = keyed_generator(1, "mask").random(gradient.shape) < 0.7, gradient.copy()
        found = [model.fit(gradient, mask, rate) for rate in (0.0, 0.5, 0.9, 0.99)]
        taus = [one.tau for one in found]
        if not np.array_equal(gradient, before):
            _refuse(place, "changes the gradient that it is given")
        if not all(isfinite(tau) and tau >= 0 and tau == np.float32(tau) for tau in taus):
            _refuse(place, f"must give finite float32 values of at least 0, got {taus}")
        if not all(0 <= one.density <= 1 + ROUNDING for one in found):
            _refuse(place, f"must expect densities from 0 to 1, got {[one.density for one in found]}")
        if taus[0] or taus != sorted(taus):
            _refuse(place, f"must give 0 at the rate 0, and no less at a higher one, got {taus}")
        flipped = np.where(mask, -gradient, gradient + 1).astype(gradient.dtype)
        changed = {
            "again": (model.fit(gradient, mask, 0.9).tau, 1.0),
            "with other signs, and other values outside the mask": (model.fit(flipped, mask, 0.9).tau, 1.0),
            "in another memory layout": (model.fit(np.asfortranarray(gradient), mask, 0.9).tau, 1.0),
            "4 times as large": (model.fit(gradient * gradient.dtype.type(4), mask, 0.9).tau, 4.0),
        }
        for way, (tau, factor) in changed.items():
            if abs(tau - taus[2] * factor) > ROUNDING * taus[2] * factor:
                _refuse(place, f"gives {taus[2]:g}, and {tau:g} of the gradient {way}")
        nothing = [model.fit(gradient * 0, mask, 0.9), model.fit(gradient, np.zeros_like(mask), 0.9)]
        if any(one.tau for one in nothing):
            _refuse(place, "must give 0 where there is nothing to prune")


def draw_gradients() -> dict[str, NDArray[np.floating[Any]]]:
    """Draw gradients of several distributions, in both precisions."""
    generator = keyed_generator(1, "gradients")
    values = generator.standard_normal((4, 8, 10, 10))
    sparse = values * (generator.random(values.shape) < 0.4)
    return {
        "normal values": values.astype(np.float32),
        "normal values in float64": values,
        "sparse values": sparse.astype(np.float32),
        "log-normal values": (np.sign(values) * np.exp(3 * generator.standard_normal(values.shape))).astype(np.float32),
        "equal magnitudes": np.sign(values).astype(np.float32),
    }


def check_optimiser(optimiser: Optimiser) -> None:
    """Update parameters twice, whole and in halves, in both precisions, and hold the results against the protocol.

    Raises:
        ConformanceError: the form is not read back as it is written, what is given is changed, a type or shape is not
            kept, slots are not those that are named or cost less than their words, or an element depends on others.
    """
    words = f"the optimiser '{optimiser.method}'"
    check_form(optimiser, "method", words)
    slots, cost = set(optimiser.name_slots()), optimiser.cost()
    if cost.reads < 2 + len(slots) or cost.writes < 1 + len(slots):
        _refuse(words, "must read parameter, gradient and slots of an element, and write parameter and slots")
    precisions: tuple[type[np.floating[Any]], ...] = (np.float32, np.float64)
    for dtype in precisions:
        generator = keyed_generator(1, "optimiser")
        whole, *gradients = (generator.standard_normal(6).astype(dtype) for _ in range(3))
        parameters, state = {"all": whole, "half": whole[:3].copy()}, OptimiserState()
        for gradient in gradients:
            given = {"all": gradient, "half": gradient[:3].copy()}
            kept_arrays = [array for kept in state.slots.values() for array in kept.values()]
            arrays = [*parameters.values(), *given.values(), *kept_arrays]
            before = [array.copy() for array in arrays]
            done = optimiser.update(parameters, given, state)
            if not all(map(_same, arrays, before)):
                _refuse(words, "must change nothing that it is given")
            parameters, state = dict(done.parameters), done.state
            for name, parameter in parameters.items():
                kept = state.slots[name]
                if set(kept) != slots:
                    _refuse(words, "must keep the slots that it names")
                if any(one.dtype != dtype or one.shape != given[name].shape for one in (parameter, *kept.values())):
                    _refuse(words, "must keep types and shapes")
            if not np.array_equal(parameters["all"][:3], parameters["half"]):
                _refuse(words, "must update each element for itself")


def check_form(form: StrictModel, tag: str, words: str) -> None:
    """Write an extension's form as data and read it back; its tag must be one name.

    Raises:
        ConformanceError: names what breaks.
    """
    if len(get_args(type(form).model_fields[tag].annotation)) != 1:
        _refuse(words, f"must declare {tag} as a Literal of one name")
    if type(form).model_validate_json(form.model_dump_json()) != form:
        _refuse(words, "is not read back as it is written")


def same_operands(one: Operands, other: Operands) -> bool:
    """Tell whether two records hold equal tensors, bit for bit, and say the same of them."""
    fields = dataclasses.fields(one)
    return all(
        _same(getattr(one, field.name), getattr(other, field.name)) for field in fields if field.name != "finish"
    )


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def _check_tensors(place: str, operands: Operands, has_its_shape: bool) -> None:
    shape = operands.shape
    if not has_its_shape:
        _refuse(place, "has another shape than the network's layer")
    tensors = {
        "input": (operands.input, shape.input_shape),
        "weight": (operands.weight, shape.weight_shape),
        "grad_output": (operands.grad_output, shape.output_shape),
        **(
            {}
            if operands.grad_output_for_gta is None
            else {"grad_output_for_gta": (operands.grad_output_for_gta, shape.output_shape)}
        ),
        **({} if operands.bias is None else {"bias": (operands.bias, shape.weight_shape[:1])}),
        **{f"summed[{index}]": (gradient, shape.input_shape) for index, gradient in enumerate(operands.summed)},
    }
    for name, (tensor, size) in tensors.items():
        if tensor.shape != size or tensor.dtype != np.float32 or not tensor.flags.c_contiguous:
            _refuse(place, f"{name} must be a C-contiguous float32 tensor of shape {size}")
        if not np.isfinite(tensor).all():
            _refuse(place, f"{name} is not finite")
    mask = operands.mask
    if mask is not None and (mask.shape != shape.input_shape or mask.dtype != np.bool_):
        _refuse(place, f"mask must be a bool tensor of shape {shape.input_shape}")
    if not operands.steps or list(operands.steps) != [step for step in Step if step in operands.steps]:
        _refuse(place, "steps must be some of forward, gta and gtw, in this order")


def _check_images(words: str, stream: OperandStream, made: list[Operands]) -> None:
    for whole, images in zip(made, stream.list_images() if stream.images is not None else (), strict=False):
        chosen = list(range(whole.shape.batch))[::-2]
        if (images.layer, images.shape, images.steps) != (whole.layer, whole.shape, whole.steps):
            _refuse(words, f"describes layer '{whole.layer}' otherwise where its images are made singly")
        if not same_operands(images.make(chosen), select_images(whole, chosen)):
            _refuse(words, f"makes other images of layer '{whole.layer}' singly than in the batch")


def _refuse(words: str, broken: str) -> NoReturn:
    raise ConformanceError(f"{words}: {broken}")
