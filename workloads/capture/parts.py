"""A part of a model: the chosen layers that the accelerator executes, each for itself, whatever the rest is."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from math import inf
from typing import Any

from workloads.arrays import BoolArray, Float32Array
from workloads.capture.seen import SeenGraph, SeenLayer
from workloads.errors import InputError
from workloads.kinds.table import KINDS
from workloads.words import list_words, tell_pattern

# By the number of axes behind the batch, as `workloads.layers.OwnInput` names them.
SIZES = {1: ("features",), 2: ("tokens", "channels"), 3: ("channels", "height", "width")}


def choose_part(graph: SeenGraph, pattern: str, label: str) -> list[SeenLayer]:
    """Choose the layers that the accelerator executes and whose names match a pattern.

    Raises:
        InputError: none does.
    """
    names = {
        name: seen for name, seen in graph.layers.items()
        if seen.operands is not None and not seen.in_loss and not KINDS[seen.kind].traits.reads_several
    }  # fmt: skip
    chosen = [seen for name, seen in names.items() if fnmatchcase(name, pattern)]
    if not chosen:
        there = f"; the layers are {list_words(names)}" if names else ", and no layer that is known"
        raise InputError(f"{label}: no layer matches '{pattern}'{tell_pattern(pattern)}{there}")
    return chosen


def make_part_layers(graph: SeenGraph, chosen: list[SeenLayer]) -> list[dict[str, Any]]:
    """Give the chosen layers as a list in which none reads another; a ReLU that alone reads one stays behind it."""
    readers: dict[str, list[SeenLayer]] = {}
    for seen in graph.layers.values():
        for name in seen.inputs:
            readers.setdefault(name, []).append(seen)
    layers: list[dict[str, Any]] = []
    for seen in chosen:
        shape = seen.operands.input.shape[1:]
        if seen.kind == "conv1d":
            shape = (shape[0], 1, shape[1])
        size = dict(zip(SIZES[len(shape)], (int(length) for length in shape), strict=True))
        layers.append({"name": seen.name, "type": seen.kind, "input": size, **seen.fields})
        behind = readers.get(seen.name, [])
        if behind and all(one.kind in KINDS and KINDS[one.kind].traits.makes_zeros for one in behind):
            layers += [
                {"name": one.name, "type": one.kind, "inputs": [seen.name], **one.fields} for one in behind
            ]  # fmt: skip
    return layers


def make_part_mask(layers: Mapping[str, SeenLayer], seen: SeenLayer, input: Float32Array) -> BoolArray | None:
    """Tell where the gradient to what a layer reads is needed; None where no ReLU stands before."""
    ceiling = find_ceiling(layers, seen.inputs[0])
    return None if ceiling is None else (input != 0) & (input < ceiling)


def find_ceiling(layers: Mapping[str, SeenLayer], name: str) -> float | None:
    """Find the upper end of the ReLU that an output comes out of, as `Network` does; None where there is none."""
    seen = layers.get(name)
    if seen is None or seen.kind not in KINDS or seen.reason is not None:
        return None
    traits = KINDS[seen.kind].traits
    if traits.makes_zeros:
        return traits.ceiling
    if not traits.hands_zeros_on:
        return None
    found = [find_ceiling(layers, source) for source in seen.inputs]
    known = [ceiling for ceiling in found if ceiling is not None]
    if len(known) < len(found) or not known:
        return None
    return max(known) if traits.hands_ceiling_on else inf
