"""Operands with the densities of a profile, made layer by layer and image by image, each on its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod, sqrt
from typing import Any

import numpy as np

from workloads.arrays import Float32Array
from workloads.draws import draw_sparse, keyed_generator
from workloads.errors import InputError
from workloads.fields import cut_field, draw_field
from workloads.gradient_masks import make_mask
from workloads.gradient_shares import find_gradient
from workloads.kinds.profile_rules import Draw, HandingPlace
from workloads.network import Network, Node
from workloads.normal_pruning import Thinning
from workloads.operands import GradientFinish, Operands
from workloads.profile import Profile
from workloads.profile_plan import (
    DrawnTensor,
    GradientPlan,
    TensorPlan,
    plan_factor,
    plan_gradient,
    plan_input,
    plan_output,
    plan_thinning,
)
from workloads.pruning import PruningKey
from workloads.pruning_sites import PruningSite, find_pruning_sites
from workloads.settings import Clustering
from workloads.shapes import Step

# Images of which a threshold of pruning is estimated where not the whole batch is made.
THRESHOLD_IMAGES = 5


@dataclass(frozen=True)
class ProfiledNetwork:
    """A network, its densities, and what keys and shapes the draws.

    Attributes:
        pruning_rate: Of the gradients, 0 where the workload has no pruning.
        clustering: None for independent zeros.
    """

    network: Network
    profile: Profile
    seed: int
    clustering: Clustering | None = None
    pruning_rate: float = 0.0

    def describe(self) -> list[dict[str, Any]]:
        """List each layer's tensors with the expected density (None: only the tensor tells) and its rule.

        Raises:
            InputError: a tensor has no figure, and no rule covers it.
        """
        rows = []
        for node in self.network.compute_nodes():
            input = plan_input(self.network, self.profile, node.name)
            gradient = plan_gradient(self.network, self.profile, node.name, self.pruning_rate)
            weight = self.profile.density(node.name, "weight")
            known: tuple[float | None, str] = (1.0, "dense") if weight is None else (weight, "figure")
            if len(node.inputs) > 1:
                factor = plan_factor(self.network, self.profile, node.name)
                known = factor.density, factor.rule
            for tensor, density, rule in (
                ("input", input.density, input.rule),
                ("weight", *known),
                ("grad_output", gradient.density, gradient.rule),
            ):
                rows.append({"layer": node.name, "tensor": tensor, "density": density, "rule": rule})
        return rows

    def operands(self) -> Iterator[Operands]:
        """Make the operands of all layers that the accelerator executes, one layer at a time."""
        return (self.layer(node.name) for node in self.network.compute_nodes())

    def layer(self, name: str, images: Sequence[int] | None = None) -> Operands:
        """Make the operands of one layer; the layer whose input needs no gradient has no GTA.

        Args:
            images: Numbers of the images that are made; by default all of the batch, from which the threshold of the
                gradient that is written then follows. Of images that are named it follows from the first ones of the
                batch, whichever are named, so that an image is pruned alike in any company.
        """
        whole = self.network.layer_shape(name)
        numbers = tuple(range(whole.batch) if images is None else images)
        shape = whole.with_batch(len(numbers))
        input = np.empty(shape.input_shape, np.float32)
        grad_output = np.empty(shape.output_shape, np.float32)
        for place, image in enumerate(numbers):
            input[place] = self.image_input(name, image)
            grad_output[place] = self.image_gradient(name, image)
        summed = self._stack_summed(name, 0, numbers)
        operands = Operands(
            layer=name,
            shape=shape,
            input=input,
            weight=self._stack_factor(name, numbers) if shape.weighs_activations else self._weight(name),
            bias=self._bias(name) if self.network.has_bias(name) else None,
            grad_output=grad_output,
            mask=make_mask(self.network, name, input),
            steps=self.steps(name),
            relu_follows=self.network.relu_follows(name),
            summed=summed,
        )
        if shape.weighs_activations:
            return self._finish_product(operands, numbers)
        finish = self._finish(name, grad_output, summed) if images is None else self._finish_some(name, numbers)
        return dataclasses.replace(operands, finish=finish)

    def _stack_factor(self, name: str, images: Sequence[int]) -> Float32Array:
        """Make the second factor of a product of some images."""
        plan = plan_factor(self.network, self.profile, name)
        return np.stack([self._make(plan, image) for image in images])

    def _finish_product(self, operands: Operands, images: Sequence[int]) -> Operands:
        """Have the PPU mask the gradient to the second factor of a product, and add what is stored of it.

        Raises:
            InputError: one of its gradients is pruned, for which a profile has no threshold.
        """
        name = operands.layer
        if self._sites(name):
            raise InputError(
                f"{self.profile.label}: the gradient that '{name}' writes is pruned, and of a product of two "
                "activations a profile does not tell the threshold; leave the pruning out, or use operands of the host"
            )
        source = self.network.node(name).inputs[1]
        mask = make_mask(self.network, name, operands.weight, source)
        return dataclasses.replace(
            operands,
            weight_finish=GradientFinish(mask=mask),
            weight_summed=self._stack_summed(name, 1, images),
        )

    def _stack_summed(self, name: str, number: int, images: Sequence[int]) -> tuple[Float32Array, ...]:
        """Draw what a layer's gradient to its input of a number is added to."""
        sources = self.network.summed_gradients(name, number)
        return tuple(
            np.stack([self._draw_summed(name, number, source, image) for image in images]) for source in sources
        )

    def steps(self, name: str) -> tuple[Step, ...]:
        """Give the steps that a layer has."""
        return self.network.list_steps(name)

    def image_input(self, name: str, image: int) -> Float32Array:
        """Make one image's input of a layer, ``(C, H, W)`` or ``(C,)``; it depends on no other image."""
        return self._make(plan_input(self.network, self.profile, name), image)

    def image_gradient(self, name: str, image: int) -> Float32Array:
        """Make one image's gradient to a layer's output, ``(M, P, Q)`` or ``(M,)``; it depends on no other image."""
        plan = plan_gradient(self.network, self.profile, name, self.pruning_rate)
        gradient = self._start_gradient(plan, name, image)
        return self._hand_back(plan, gradient, image)

    def _draw_summed(self, name: str, number: int, source: str, image: int) -> Float32Array:
        """Draw one image's gradient that another branch has stored for what a layer reads.

        Of an add that reads the input too it is the gradient to the add's output: nonzero where the ReLU behind it is,
        dense where there is none, and pruned where the graph has a site for it. Any other is a part of a sum, nonzero
        where the layer's mask is set.
        """
        read = self.network.node(name).inputs[number]
        shape = self.network.output_shape(read)[1:]
        generator = keyed_generator(self.seed, name, f"{'weight_' * number}summed", source, image)
        gradient = draw_sparse(generator, shape, 1.0, integers=False)
        behind = [node for node in self.network.consumers(source) if node.layer.traits.makes_zeros]
        if source != read and self.network.node(source).layer.traits.sums_inputs:
            plan = plan_output(self.network, self.profile, behind[0].name) if behind else None
            gradient = _prune_normal(gradient, self._thin_summed(source, plan), generator)
            if plan is None:
                return gradient
            support = self._make(plan, image)
        elif self.network.is_behind_relu(name, read):
            factor = plan_factor(self.network, self.profile, name) if number else None
            support = self.image_input(name, image) if factor is None else self._make(factor, image)
        else:
            return gradient
        return np.where(support.reshape(shape) != 0, gradient, np.float32(0))

    def _thin_summed(self, source: str, support: TensorPlan | None) -> Thinning | None:
        """Tell how a gradient that another branch has stored was pruned; None where it was not.

        Args:
            support: Where alone it is nonzero; None if everywhere.
        """
        density = 1.0 if support is None else support.density
        return plan_thinning(
            self.network, self.profile, find_gradient(self.network, source), self.pruning_rate, density
        )

    def _sites(self, name: str) -> list[PruningSite]:
        """List where the gradient that a layer writes is pruned."""
        if not self.pruning_rate:
            return []
        return [site for site in find_pruning_sites(self.network).values() if site.writer == name]

    def _finish_some(self, name: str, images: tuple[int, ...]) -> GradientFinish:
        """Have the PPU prune some images with a threshold that does not depend on which they are."""
        if not self._sites(name):
            return GradientFinish()
        first = range(min(THRESHOLD_IMAGES, self.network.layer_shape(name).batch))
        gradient = np.stack([self.image_gradient(name, image) for image in first])
        summed = self._stack_summed(name, 0, first)
        found = self._finish(name, gradient, summed)
        assert found.key is not None
        return dataclasses.replace(found, key=dataclasses.replace(found.key, images=images))

    def _finish(self, name: str, grad_output: Float32Array, summed: tuple[Float32Array, ...]) -> GradientFinish:
        """Have the PPU prune the gradient that this layer writes, where the graph has a site for it.

        Sums of independent products are normal: the threshold follows from the mean squares of gradient and weights.
        """
        sites = self._sites(name)
        if not sites:
            return GradientFinish()
        shape = self.network.layer_shape(name)
        density = self.profile.density(name, "weight")
        weight_square = (1.0 if density is None else density) * 2 / prod(shape.weight_shape[1:])
        products = shape.nominal_macs / prod(shape.input_shape)
        square = products * weight_square * float(np.square(grad_output, dtype=np.float64).mean())
        sigma = sqrt(square + sum(float(np.square(one, dtype=np.float64).mean()) for one in summed))
        is_masked = self.network.is_behind_relu(name)
        support = plan_input(self.network, self.profile, name).density if is_masked else 1.0
        thinning = plan_thinning(self.network, self.profile, sites[0].node, self.pruning_rate, support)
        assert thinning is not None
        tau = float(np.float32(thinning.deviations * sigma))
        return GradientFinish(tau=tau, key=PruningKey(self.seed, sites[0].node, 0))

    def _make(self, plan: TensorPlan, image: int) -> Float32Array:
        if isinstance(plan, DrawnTensor):
            return self._draw(plan, image)
        sources = [self._make(source, image) for source in plan.sources]
        return plan.node.layer.derive_output(sources, self._draw_at(plan.node, image))

    def _draw_at(self, node: Node, image: int) -> Draw:
        """Key what a layer draws for one image by the layer, the purpose and the image."""
        return lambda purpose: keyed_generator(self.seed, node.name, purpose, image)

    def _draw(self, plan: DrawnTensor, image: int) -> Float32Array:
        values = cut_field(draw_field(plan.shape, self.clustering, self.seed, plan.place, image), plan.density)
        if plan.is_rectified:
            return values
        generator = keyed_generator(self.seed, plan.place, "values", image)
        return np.where(values != 0, draw_sparse(generator, plan.shape, 1.0, integers=False), np.float32(0))

    def _start_gradient(self, plan: GradientPlan, name: str, image: int) -> Float32Array:
        """Draw normal numbers where the gradient starts, mask and prune them."""
        generator = keyed_generator(self.seed, name, "grad_output", image)
        gradient = draw_sparse(generator, plan.shape, 1.0, integers=False)
        gradient = _prune_normal(gradient, plan.thinning, generator)
        if plan.support is not None:
            gradient = np.where(self._make(plan.support, image) != 0, gradient, np.float32(0))
        return gradient

    def _hand_back(self, plan: GradientPlan, gradient: Float32Array, image: int) -> Float32Array:
        """Carry the gradient back to the layer's output through what lies between."""
        known = True
        for node, output in reversed(plan.path):
            is_drawn = isinstance(output, DrawnTensor)
            place = HandingPlace(
                node.input_shapes[0][1:],
                partial(self._make, output, image) if known else None,
                None if isinstance(output, DrawnTensor) else partial(self._make, output.sources[0], image),
                self._draw_at(node, image),
            )
            gradient = node.layer.hand_gradient_back(gradient, place)
            known = known and (not is_drawn or node.layer.traits.makes_zeros)
        return gradient

    def _weight(self, name: str) -> Float32Array:
        """Draw weights by Kaiming's rule, those of a density below 1 independently zero."""
        shape = self.network.layer_shape(name).weight_shape
        density = self.profile.density(name, "weight")
        generator = keyed_generator(self.seed, name, "weight")
        weight = draw_sparse(generator, shape, 1.0 if density is None else density, integers=False)
        return weight * np.float32(sqrt(2 / prod(shape[1:])))

    def _bias(self, name: str) -> Float32Array:
        channels = self.network.layer_shape(name).weight_shape[:1]
        return draw_sparse(keyed_generator(self.seed, name, "bias"), channels, 1.0, integers=False)


def _prune_normal(gradient: Float32Array, thinning: Thinning | None, generator: np.random.Generator) -> Float32Array:
    """Prune standard normal numbers stochastically, their deviation being known: what is below tau is tau or zero."""
    if thinning is None:
        return gradient
    tau = np.float32(thinning.deviations)
    size = np.abs(gradient)
    snaps = generator.random(gradient.shape, dtype=np.float32) * tau < size
    return np.where(size >= tau, gradient, np.where(snaps, np.copysign(tau, gradient), np.float32(0)))
