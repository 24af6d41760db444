"""What a user asks of a sampled run, and what such a run cannot give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from numbers import Real
from typing import Any

from sim.architecture import Architecture
from sim.iteration.policies import OperandSet, OperandView
from sim.machine.accelerator import Engine
from workloads.errors import InputError
from workloads.layer_images import LayerImages
from workloads.operands import Operands
from workloads.shapes import Step
from workloads.sources.source import OperandStream
from workloads.value_formats import ValueFormat

AUTO = "auto"


def parse_sample(sample: str | float) -> float | None:
    """Give the fraction of tiles that is asked for, None for `auto`.

    Raises:
        InputError: it is neither `auto` nor a fraction.
    """
    if sample == AUTO:
        return None
    fraction = math.nan
    # Python reads 0_1 as a number, and True as 1.
    if isinstance(sample, Real | str) and not isinstance(sample, bool) and "_" not in str(sample):
        with suppress(ValueError):
            fraction = float(sample)
    if not 0 < fraction <= 1:
        raise InputError(f"sample must be auto, or a fraction above 0 and at most 1, got '{sample}'")
    return fraction


def refuse_values(save_outputs: Any, trace: Any, engine: Engine) -> None:
    """Refuse what only a run of whole steps has.

    Raises:
        InputError: names what was asked for.
    """
    if save_outputs is not None:
        raise InputError(
            "a sampled run computes no values, so that none can be saved; leave out sample or save_outputs"
        )
    if trace is not None:
        raise InputError("a sampled run executes no whole step that could be traced; leave out sample or trace")
    if engine is not Engine.COMPILED:
        raise InputError(
            f"a sampled run executes single tiles, which only the engine 'compiled' does, got '{engine.value}'"
        )


def require_single_values(machine: Architecture) -> None:
    """Refuse to sample a machine whose stored values are not those of single images.

    Raises:
        InputError: it stores int16, whose scale is that of a tensor's largest element, in whichever image.
    """
    if machine.values is ValueFormat.INT16:
        raise InputError(
            f"'{machine.name}' cannot be sampled: storage.values is int16, whose scale follows from all images of a "
            "tensor; leave the sample away, or store fp16, bf16 or float32"
        )


def list_samples(
    stream: OperandStream, one: OperandSet, layers: frozenset[str], steps: Sequence[Step]
) -> Iterator[tuple[LayerImages, Step, tuple[Architecture, ...]]]:
    """List the wanted (layer, step) of a set of operands, with the machines that work on it; no image is made."""
    for layer in stream.list_images():
        if layer.layer in layers:
            for step in layer.steps:
                if step in steps:
                    for view, machines in one.group_views():
                        yield see_images(layer, view), step, machines


def see_images(layer: LayerImages, view: OperandView) -> LayerImages:
    """Give a layer's images as the PEs of machines see them."""
    if view.changes_nothing:
        return layer
    return LayerImages(
        layer.layer, layer.shape, layer.steps, partial(make_seen, view, layer), layer.has_all
    )  # fmt: skip


def make_seen(view: OperandView, layer: LayerImages, images: Sequence[int] | None) -> Operands:
    """Make images as machines see them."""
    return view.show(layer.make(images))


def name_sample(sample: str | float, fraction: float | None) -> str | float:
    """Give what was asked for as it stands in ``run.json``."""
    return str(sample) if fraction is None else fraction
