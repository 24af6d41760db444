"""Synthetic operands: random tensors of a given density, each drawn from a generator keyed by its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import ClassVar, Literal, Self

import numpy as np

from workloads.arrays import BoolArray, Float32Array
from workloads.draws import draw_sparse, keyed_generator
from workloads.errors import InputError
from workloads.gradient_masks import make_mask
from workloads.layer_images import LayerImages
from workloads.layers import LayerName
from workloads.network import Network
from workloads.operands import GradientFinish, Operands
from workloads.settings import Density, Seed
from workloads.shapes import Step
from workloads.sources.source import OperandRequest, OperandSource, OperandStream
from workloads.suggestions import did_you_mean

# Assumed: half of the activations and of the gradients, as behind a ReLU whose inputs are centred on zero.
CHOSEN_DENSITY = Density(input=0.5, grad_output=0.5)
ALL_STEPS = (Step.FORWARD, Step.GTA, Step.GTW)


class SyntheticOperands(OperandSource):
    """Random tensors: normal values, or with `integers` the small integers -4..4.

    Attributes:
        layer_density: Densities of single layers, by name, in the place of `density`.
    """

    masks_weights: ClassVar[bool] = True
    makes_images: ClassVar[bool] = True
    offers_choice: ClassVar[bool] = True

    source: Literal["synthetic"]
    seed: Seed
    density: Density = Density()
    layer_density: dict[LayerName, Density] | None = None
    integers: bool = False

    @classmethod
    def choose(cls, workload: str, label: str, seed: int) -> Self:  # noqa: ARG003
        """Give normal values, half of inputs and gradients zero."""
        return cls(source="synthetic", seed=seed, density=CHOSEN_DENSITY)

    def density_of(self, layer: str) -> Density:
        """Give the densities of a layer's tensors."""
        return (self.layer_density or {}).get(layer, self.density)

    def check(self, request: OperandRequest) -> None:
        """Compare the layers that have densities of their own with the network's.

        Raises:
            InputError: there is no such layer, or it is not executed in steps.
        """
        names = [node.name for node in request.network.compute_nodes()]
        unknown = next((name for name in self.layer_density or {} if name not in names), None)
        if unknown is not None:
            raise InputError(
                f"{request.label}: operands.layer_density names '{unknown}', which is no layer that the accelerator "
                f"executes{did_you_mean(unknown, names)}"
            )

    def open(self, request: OperandRequest) -> OperandStream:
        """Prepare the layers; each one's tensors are made when it is asked for."""
        self.check(request)
        network = request.network
        kind = "integers" if self.integers else "normal values"
        headline = f"synthetic {kind} (unrepresentative: random zeros), seed {self.seed}"
        images = tuple(
            LayerImages(
                node.name, network.layer_shape(node.name), ALL_STEPS,
                partial(make_synthetic_layer, network, self, node.name),
            )
            for node in network.compute_nodes()
        )  # fmt: skip
        stream = OperandStream(make_synthetic(network, self), headline, self.seed, {}, images=images)
        return request.mask_stream(stream)


def make_synthetic(network: Network, source: SyntheticOperands) -> Iterator[Operands]:
    """Make the operands of all layers that the accelerator executes, one layer at a time, in the network's order."""
    return (make_synthetic_layer(network, source, node.name) for node in network.compute_nodes())


@dataclasses.dataclass(frozen=True)
class LayerDraws:
    """Draws the tensors of one layer; an image's depend on seed, layer and its number, not on the batch.

    Attributes:
        numbers: Of the images that are drawn.
    """

    network: Network
    source: SyntheticOperands
    name: str
    numbers: Sequence[int]

    def draw(self, tensor: str, shape: tuple[int, ...], density: float, image: int = 0) -> Float32Array:
        """Draw a tensor, or one image's."""
        generator = keyed_generator(self.source.seed, self.name, tensor, image)
        return draw_sparse(generator, shape, density, integers=self.source.integers)

    def draw_batch(self, tensor: str, batch: tuple[int, ...], density: float) -> Float32Array:
        """Draw a tensor of all images."""
        tensors = np.empty(batch, np.float32)
        for place, image in enumerate(self.numbers):
            tensors[place] = self.draw(tensor, batch[1:], density, image)
        return tensors

    def draw_summed(self, number: int, batch: tuple[int, ...], mask: BoolArray | None) -> tuple[Float32Array, ...]:
        """Draw the gradients that are added to that to an input of a number; an add's own is not masked."""
        density, summed = self.source.density_of(self.name).grad_output, []
        for place, source_name in enumerate(self.network.summed_gradients(self.name, number)):
            gradient = self.draw_batch(f"{'weight_' * number}summed{place}", batch, density)
            is_add = self.network.node(source_name).layer.traits.sums_inputs
            summed.append(gradient if mask is None or is_add else gradient * mask)
        return tuple(summed)


def make_synthetic_layer(
    network: Network, source: SyntheticOperands, name: str, images: Sequence[int] | None = None
) -> Operands:
    """Make the operands of one layer; an image's tensors depend on seed, layer and its number, not on the batch.

    Each element is nonzero with the tensor's density, independently of all others, and then normal (weights divided by
    the root of their fan-in), or with `integers` one of -4..-1, 1..4. Behind a ReLU the input's elements are their
    absolute values, and the mask is where they are nonzero. The bias is dense. Gradients that the GTA's result is
    added to are as dense as grad_output, but for the mask. The second factor of a product has the weight's density,
    or is the first one again.

    Args:
        images: Numbers of the images that are made; by default all of the batch.
    """
    whole, densities = network.layer_shape(name), source.density_of(name)
    draws = LayerDraws(network, source, name, range(whole.batch) if images is None else images)
    shape, inputs = whole.with_batch(len(draws.numbers)), network.node(name).inputs
    input = draws.draw_batch("input", shape.input_shape, densities.input)
    if network.is_behind_relu(name):
        np.abs(input, out=input)
    if len(inputs) > 1 and inputs[0] == inputs[1]:
        weight = input.copy()
    elif shape.weighs_activations:
        weight = draws.draw_batch("weight", shape.weight_shape, densities.weight)
    else:
        weight = draws.draw("weight", shape.weight_shape, densities.weight)
        if not source.integers:
            weight /= np.float32(np.sqrt(prod(shape.weight_shape[1:])))
    bias = draws.draw("bias", (shape.output_shape[shape.channel_axis],), 1.0) if network.has_bias(name) else None
    grad_output = draws.draw_batch("grad_output", shape.output_shape, densities.grad_output)
    mask = make_mask(network, name, input)
    operands = Operands(
        name, shape, input, weight, bias, grad_output, mask, ALL_STEPS,
        relu_follows=network.relu_follows(name), summed=draws.draw_summed(0, shape.input_shape, mask),
    )  # fmt: skip
    if not shape.weighs_activations:
        return operands
    if network.is_behind_relu(name, inputs[1]):
        np.abs(weight, out=weight)
    factor_mask = make_mask(network, name, weight, inputs[1])
    return dataclasses.replace(
        operands,
        weight_finish=GradientFinish(mask=factor_mask),
        weight_summed=draws.draw_summed(1, shape.weight_shape, factor_mask),
    )
