"""A layer's operands image by image: some images of a batch in place of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from workloads.operands import Operands
from workloads.shapes import LayerShape, Step


@dataclass(frozen=True, eq=False)
class LayerImages:
    """A layer of which any images may be asked for.

    shape: of the whole batch. make: gives the operands of the images of these numbers, a batch of their own in the
    order asked for, or for None of the whole batch; an image is the same in whichever batch. has_all: all images are
    there anyway.
    """

    layer: str
    shape: LayerShape
    steps: tuple[Step, ...]
    make: Callable[[Sequence[int] | None], Operands]
    has_all: bool = False


def keep_images(operands: Operands) -> LayerImages:
    """Let images be asked for of operands that are there."""
    return LayerImages(operands.layer, operands.shape, operands.steps, partial(select_images, operands), has_all=True)


def select_images(operands: Operands, images: Sequence[int] | None) -> Operands:
    """Give some images of a batch, None for all, as a batch of their own; weights and pruning threshold stay its."""
    if images is None:
        return operands
    chosen = np.asarray(images, dtype=np.int64)
    key = operands.finish.key
    if key is not None:
        numbers = range(operands.shape.batch) if key.images is None else key.images
        key = dataclasses.replace(key, images=tuple(numbers[image] for image in chosen.tolist()))
    mask = operands.finish.mask
    return dataclasses.replace(
        operands,
        shape=operands.shape.with_batch(len(chosen)),
        input=operands.input[chosen],
        grad_output=operands.grad_output[chosen],
        mask=None if operands.mask is None else operands.mask[chosen],
        finish=dataclasses.replace(operands.finish, mask=None if mask is None else mask[chosen], key=key),
        summed=tuple(gradient[chosen] for gradient in operands.summed),
    )


def join_images(first: Operands, second: Operands) -> Operands:
    """Give the images of two batches of one layer as one; what is no image's own is the first one's."""
    masks = (first.mask, second.mask), (first.finish.mask, second.finish.mask)
    mask, late = (None if one is None or other is None else np.concatenate([one, other]) for one, other in masks)
    keys = first.finish.key, second.finish.key
    key = keys[0]
    if key is not None and keys[1] is not None and key.images is not None and keys[1].images is not None:
        key = dataclasses.replace(key, images=key.images + keys[1].images)
    return dataclasses.replace(
        first,
        shape=first.shape.with_batch(first.shape.batch + second.shape.batch),
        input=np.concatenate([first.input, second.input]),
        grad_output=np.concatenate([first.grad_output, second.grad_output]),
        mask=mask,
        finish=dataclasses.replace(first.finish, mask=late, key=key),
        summed=tuple(np.concatenate(pair) for pair in zip(first.summed, second.summed, strict=True)),
    )
