"""What a source of operands is: its form in the YAML file, what can be said of it, and how its stream is opened."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from workloads.kept_tensors import TensorKeeper
from workloads.layer_images import LayerImages, keep_images
from workloads.layers import ImageInput, StrictModel
from workloads.masks.producer import MaskProducer, mask_operands
from workloads.network import Network
from workloads.operands import Operands
from workloads.settings import GradientPruning, GroupPruning
from workloads.shapes import Step


@dataclass(frozen=True, eq=False)
class OperandStream:
    """The operands of every layer, in the network's order, and the words that name their source.

    Attributes:
        facts: What else is known of the source, such as the loss of the host's iteration.
        pruned: The nodes the gradient to whose output is pruned.
        images: The layers again, to be made image by image; None where all images are there.
        notices: Sentences on what is odd about them.
    """

    layers: Iterator[Operands]
    headline: str
    seed: int | None
    facts: dict[str, Any]
    pruned: frozenset[str] = frozenset()
    images: tuple[LayerImages, ...] | None = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<OperandStream: {self.headline}>"

    def list_images(self) -> Iterator[LayerImages]:
        """Give every layer's operands to be had image by image; nothing is made before it is asked for."""
        if self.images is not None:
            return iter(self.images)
        return (keep_images(operands) for operands in self.layers)


@dataclass(frozen=True)
class OperandRequest:
    """What a source is asked for: operands of which network, and what of the rest of the workload acts on them.

    Attributes:
        label: The workload's file or preset, as messages name it.
        base_directory: What paths in it are relative to.
        masks: Makes zeros of weights.
        iteration: The number of the iteration, which chooses its images; by default that behind its warm-up.
        keeper: Keeps what an iteration has to, where one is run.
    """

    label: str
    network: Network
    image: ImageInput | None
    base_directory: Path
    pruning: GradientPruning | GroupPruning | None = None
    masks: MaskProducer | None = None
    iteration: int | None = None
    keeper: TensorKeeper | None = None

    @property
    def batch(self) -> int:
        """The number of images."""
        return self.network.batch

    def mask_stream(self, stream: OperandStream) -> OperandStream:
        """Mask the weights of layers that are independent of each other, where the workload asks for it."""
        if self.masks is None:
            return stream
        seed, chosen = stream.seed or 0, self.masks.select(self.network)
        mask = partial(_mask_layer, self.masks, seed, chosen)
        images = stream.images
        if images is not None:
            images = tuple(dataclasses.replace(one, make=partial(_mask_images, mask, one.make)) for one in images)
        told = dataclasses.replace(stream, layers=map(mask, stream.layers), images=images)
        return self.tell_masks(told)

    def tell_masks(self, stream: OperandStream) -> OperandStream:
        """Say of a stream that its weights are masked, where the workload asks for it."""
        if self.masks is None:
            return stream
        words = f"{stream.headline}, {self.masks.words}"
        return dataclasses.replace(
            stream, headline=words, facts=stream.facts | {"sparsify": self.masks.model_dump(mode="json")}
        )


def _mask_layer(producer: MaskProducer, seed: int, chosen: frozenset[str], operands: Operands) -> Operands:
    return mask_operands(producer, operands, seed) if operands.layer in chosen else operands


def _mask_images(
    mask: Callable[[Operands], Operands], make: Callable[[Sequence[int] | None], Operands], images: Sequence[int] | None
) -> Operands:
    return mask(make(images))


class OperandSource(StrictModel, ABC):
    """A source of operands as a workload's file declares it, under `operands`.

    A class derived from it declares ``source: Literal["name"]`` and its own fields, and says of itself:

    Attributes:
        prunes_gradients: Whether it acts on the workload's `pruning` and `sparsify`, which are refused otherwise.
        masks_weights: Whether it acts on the workload's `pruning` and `sparsify`, which are refused otherwise.
        runs_iteration: Whether it runs training iterations, for which a network needs a loss and memory for all layers.
        follows_training: Whether layers whose input needs no gradient have no GTA.
        makes_images: Whether any images can be made without the others.
        offers_choice: Whether `--operands name` can choose it, without its fields in the workload's file.
    """

    prunes_gradients: ClassVar[bool] = False
    masks_weights: ClassVar[bool] = False
    runs_iteration: ClassVar[bool] = False
    follows_training: ClassVar[bool] = False
    makes_images: ClassVar[bool] = False
    offers_choice: ClassVar[bool] = False

    source: str

    @abstractmethod
    def open(self, request: OperandRequest) -> OperandStream:
        """Load, make or train the operands; an iteration runs here, once, layers may be made as they are asked for.

        Raises:
            InputError: what the source names is missing, damaged or does not fit the network.
        """

    def list_steps(self, network: Network, layer: str) -> tuple[Step, ...]:
        """List the steps that a layer has operands for, which are known before anything is opened."""
        return network.list_steps(layer) if self.follows_training else tuple(Step)

    def check(self, request: OperandRequest) -> None:
        """Open the files that the source names and compare them with the network; nothing is trained.

        Raises:
            InputError: one of them is missing, damaged or does not fit.
        """

    @classmethod
    def choose(cls, workload: str, label: str, seed: int) -> Self:
        """Make the source that `--operands` stands for, where it offers that.

        Args:
            label: The workload in messages.

        Raises:
            InputError: it is not to be had for the workload of this name.
        """
        raise NotImplementedError(f"{cls.__name__} offers no choice to the workload '{workload}' ({label}, {seed})")

    def with_absolute_paths(self, base_directory: Path) -> Self:  # noqa: ARG002
        """Give the source with every path absolute, for a file that lies elsewhere."""
        return self

    @property
    def stated_rate(self) -> float | None:
        """The rate at which gradients are pruned, where the source itself says so beside the workload's `pruning`."""
        return None

    def with_stated_rate(self, rate: float) -> Self:  # noqa: ARG002
        """Give the source of gradients that are pruned at another rate, where it states one."""
        return self

    def with_seed(self, seed: int) -> Self | None:
        """Give the source with another seed; None where it has none."""
        return self.model_copy(update={"seed": seed}) if "seed" in type(self).model_fields else None

    @property
    def value_bytes(self) -> int:
        """The bytes of a number while an iteration runs."""
        return 4

    @property
    def needless_gta_remedy(self) -> str:
        """How the file leaves out each GTA that nobody needs in training; empty where it has none, or must."""
        return ""
