"""What a producer of weight masks is: its form in the YAML file, and the weights that it leaves of a layer's."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import floor
from pathlib import Path
from typing import Self

import numpy as np

from workloads.arrays import BoolArray, Float32Array
from workloads.draws import keyed_generator
from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.network import Network
from workloads.operands import Operands
from workloads.settings import PlainText
from workloads.shapes import Shape
from workloads.words import list_words, tell_pattern


@dataclass(frozen=True)
class MaskKey:
    """The place of a mask: it and the weights decide all draws, never the order in which masks are made."""

    seed: int
    layer: str

    def generator(self) -> np.random.Generator:
        """Make the generator of this place."""
        return keyed_generator(self.seed, self.layer, "mask")


@dataclass(frozen=True, eq=False)
class MaskedWeights:
    """A layer's weights, float32, zero where the mask is not set.

    Attributes:
        mask: bool, the weights' shape.
        frozen: bool, of that shape too, the weights whose gradients nobody needs, since training leaves them as they
            are; None where it may move all of them. No machine skips work for it yet.
    """

    weights: Float32Array
    mask: BoolArray
    frozen: BoolArray | None = None

    def __post_init__(self) -> None:
        for name, flags in (("mask", self.mask), ("frozen", self.frozen)):
            if flags is not None and (flags.shape != self.weights.shape or flags.dtype != np.bool_):
                raise ValueError(f"{name} must be bool of shape {self.weights.shape}, got {flags.dtype} {flags.shape}")
        if np.count_nonzero(self.weights[~self.mask]):
            raise ValueError("weights outside the mask must be zero")


class MaskProducer(StrictModel, ABC):
    """A method of making weights sparse as a workload's file declares it, under `sparsify`.

    A class derived from it declares ``method: Literal["name"]`` and its own parameters.

    Attributes:
        layers: A pattern that the names of the masked convolutions and fully connected layers match.
        freeze: Whether nobody needs the gradients of what the mask does not let live.
    """

    method: str
    layers: PlainText = "*"
    freeze: bool = False

    @abstractmethod
    def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:
        """Mask the weights of a layer, ``(M, C / G, R, S)`` or ``(M, C)``, which stay as they are.

        Args:
            activations: The layer's input, where it is there before the weights are; None in every source that ships.
        """

    @property
    def words(self) -> str:
        """What a run says of its weights."""
        return f"weights masked by {self.method}"

    def apply(self, weights: Float32Array, mask: BoolArray) -> MaskedWeights:
        """Leave the weights inside a mask; those outside are frozen if the form says so."""
        return MaskedWeights(np.where(mask, weights, np.float32(0)), mask, ~mask if self.freeze else None)

    def suits(self, shape: Shape) -> bool:  # noqa: ARG002
        """Tell whether weights of a shape may be masked at all."""
        return True

    def with_absolute_paths(self, base_directory: Path) -> Self:  # noqa: ARG002
        """Give the producer with every path absolute, for a file that lies elsewhere."""
        return self

    def check(self, network: Network) -> None:
        """Compare what the form names with the network, before anything is made.

        Raises:
            InputError: a file is missing, damaged or does not fit, or no layer is masked.
        """
        self.select(network)

    def select(self, network: Network) -> frozenset[str]:
        """Name the layers whose weights are masked.

        Raises:
            InputError: none matches the pattern.
        """
        weighed = [node.name for node in network.compute_nodes() if node.layer.traits.has_parameters]
        names = [name for name in weighed if self.suits(network.layer_shape(name).weight_shape)]
        if not names:
            raise InputError(f"sparsify: '{network.name}' has no layer whose weights {self.method} can mask")
        chosen = frozenset(name for name in names if fnmatchcase(name, self.layers))
        if not chosen:
            layers = "layers" if names == weighed else f"layers that {self.method} can mask"
            raise InputError(
                f"sparsify: no layer matches '{self.layers}'{tell_pattern(self.layers)}; the {layers} are "
                f"{list_words(names)}"
            )
        return chosen


def count_kept(keep: float, whole: int) -> int:
    """Round a share of so many to a whole number, at least one; a half is rounded up."""
    return max(1, floor(keep * whole + 0.5))


def mask_parameters(
    producer: MaskProducer, network: Network, parameters: Mapping[str, Float32Array], seed: int
) -> dict[str, Float32Array]:
    """Give a network's parameters with masked weights."""
    masked = {
        f"{name}/weight": producer.produce(parameters[f"{name}/weight"], None, MaskKey(seed, name)).weights
        for name in producer.select(network)
    }
    return {name: masked.get(name, values) for name, values in parameters.items()}


def mask_operands(producer: MaskProducer, operands: Operands, seed: int) -> Operands:
    """Give a layer's operands with masked weights; they do not depend on the images that are there."""
    found = producer.produce(operands.weight, None, MaskKey(seed, operands.layer))
    return dataclasses.replace(operands, weight=found.weights)
