"""A layer's operands image by image: some images of a batch in place of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from workloads.arrays import BoolArray, Float32Array, IntArray
from workloads.operands import GradientFinish, Operands
from workloads.shapes import LayerShape, Step


@dataclass(frozen=True, eq=False)
class LayerImages:
    """A layer of which any images may be asked for.

    Attributes:
        shape: Of the whole batch.
        make: Gives the operands of the images of these numbers, a batch of their own in the order asked for, or for
            None of the whole batch; an image is the same in whichever batch.
        has_all: All images are there anyway.
    """

    layer: str
    shape: LayerShape
    steps: tuple[Step, ...]
    make: Callable[[Sequence[int] | None], Operands]
    has_all: bool = False


def read_at(layer: LayerImages, step: Step) -> LayerImages:
    """Give a layer's images as a step reads them."""
    return replace(layer, make=partial(_make_at, layer.make, step))


def _make_at(make: Callable[[Sequence[int] | None], Operands], step: Step, images: Sequence[int] | None) -> Operands:
    return make(images).at(step)


def keep_images(operands: Operands) -> LayerImages:
    """Let images be asked for of operands that are there."""
    return LayerImages(operands.layer, operands.shape, operands.steps, partial(select_images, operands), has_all=True)


def select_images(operands: Operands, images: Sequence[int] | None) -> Operands:
    """Give some images of a batch, None for all, as a batch of their own; weights and pruning threshold stay its."""
    if images is None:
        return operands
    chosen = np.asarray(images, dtype=np.int64)
    selected = dataclasses.replace(
        operands,
        shape=operands.shape.with_batch(len(chosen)),
        input=operands.input[chosen],
        grad_output=operands.grad_output[chosen],
        grad_output_for_gta=None if operands.grad_output_for_gta is None else operands.grad_output_for_gta[chosen],
        mask=None if operands.mask is None else operands.mask[chosen],
        finish=_select_finish(operands.finish, chosen, operands.shape.batch),
        summed=tuple(gradient[chosen] for gradient in operands.summed),
    )
    if not operands.shape.weighs_activations:
        return selected
    return dataclasses.replace(
        selected,
        weight=operands.weight[chosen],
        weight_finish=_select_finish(operands.weight_finish, chosen, operands.shape.batch),
        weight_summed=tuple(gradient[chosen] for gradient in operands.weight_summed),
    )


def _select_finish(finish: GradientFinish, chosen: IntArray, batch: int) -> GradientFinish:
    key = finish.key
    if key is not None:
        numbers = range(batch) if key.images is None else key.images
        key = dataclasses.replace(key, images=tuple(numbers[image] for image in chosen.tolist()))
    return dataclasses.replace(finish, mask=None if finish.mask is None else finish.mask[chosen], key=key)


def join_images(first: Operands, second: Operands) -> Operands:
    """Give the images of two batches of one layer as one; what is no image's own is the first one's."""
    joined = dataclasses.replace(
        first,
        shape=first.shape.with_batch(first.shape.batch + second.shape.batch),
        input=np.concatenate([first.input, second.input]),
        grad_output=np.concatenate([first.grad_output, second.grad_output]),
        grad_output_for_gta=_join_copies(first.grad_output_for_gta, second.grad_output_for_gta),
        mask=_join_masks(first.mask, second.mask),
        finish=_join_finishes(first.finish, second.finish),
        summed=tuple(np.concatenate(pair) for pair in zip(first.summed, second.summed, strict=True)),
    )
    if not first.shape.weighs_activations:
        return joined
    return dataclasses.replace(
        joined,
        weight=np.concatenate([first.weight, second.weight]),
        weight_finish=_join_finishes(first.weight_finish, second.weight_finish),
        weight_summed=tuple(
            np.concatenate(pair) for pair in zip(first.weight_summed, second.weight_summed, strict=True)
        ),
    )


def _join_copies(first: Float32Array | None, second: Float32Array | None) -> Float32Array | None:
    return None if first is None or second is None else np.concatenate([first, second])


def _join_masks(first: BoolArray | None, second: BoolArray | None) -> BoolArray | None:
    return None if first is None or second is None else np.concatenate([first, second])


def _join_finishes(first: GradientFinish, second: GradientFinish) -> GradientFinish:
    key, other = first.key, second.key
    if key is not None and other is not None and key.images is not None and other.images is not None:
        key = dataclasses.replace(key, images=key.images + other.images)
    return dataclasses.replace(first, mask=_join_masks(first.mask, second.mask), key=key)
