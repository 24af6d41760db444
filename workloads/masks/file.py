"""Weight masks from an .npz file, by the names of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np

from workloads.arrays import BoolArray, Float32Array
from workloads.errors import InputError
from workloads.masks.producer import MaskedWeights, MaskKey, MaskProducer
from workloads.network import Network
from workloads.npz_file import open_npz
from workloads.settings import PlainText
from workloads.shapes import Shape
from workloads.user_file import resolve_path
from workloads.validation import did_you_mean


class FileMask(MaskProducer):
    """Keep the weights that a file says, whatever they are.

    Attributes:
        path: Of the .npz file, relative to the workload's: for each masked layer `<layer>/weight`, bool or of numbers 0
            and 1, of the weight's shape. Those of layers that `layers` leaves out are not read.
    """

    method: Literal["file"]
    path: PlainText

    def with_absolute_paths(self, base_directory: Path) -> Self:
        """Give the producer with the file's path absolute."""
        return self.model_copy(update={"path": str(resolve_path(base_directory / self.path))})

    def check(self, network: Network) -> None:
        """Read all masks, and compare the file's names with the network's.

        Raises:
            InputError: the file cannot be read, a mask is missing, unknown, of a wrong shape or no mask, or no layer
                is masked.
        """
        chosen = self.select(network)
        shapes = {
            f"{node.name}/weight": network.layer_shape(node.name).weight_shape
            for node in network.compute_nodes()
            if node.layer.traits.has_parameters
        }
        with open_npz(Path(self.path)) as arrays:
            for name in arrays:
                if name not in shapes:
                    raise InputError(
                        f"{self.path}: the array '{name}' is no weight of '{network.name}'{did_you_mean(name, shapes)}"
                    )
        for node in network.compute_nodes():
            if node.name in chosen:
                self._read(node.name, shapes[f"{node.name}/weight"])

    def produce(self, weights: Float32Array, activations: Float32Array | None, key: MaskKey) -> MaskedWeights:  # noqa: ARG002
        """Read the mask of a layer.

        Raises:
            InputError: the file cannot be read, or holds no mask of these weights.
        """
        return self.apply(weights, self._read(key.layer, weights.shape))

    def _read(self, layer: str, shape: Shape) -> BoolArray:
        name = f"{layer}/weight"
        with open_npz(Path(self.path)) as arrays:
            if name not in arrays:
                raise InputError(
                    f"{self.path}: the array '{name}' is missing; '{layer}' is masked, unless `layers` leaves it out"
                )
            header = arrays.header(name)
            if header.dtype.kind not in "biuf":
                raise InputError(f"{self.path}: the array '{name}' must be bool or of numbers, got {header.dtype}")
            if header.shape != shape:
                raise InputError(
                    f"{self.path}: the array '{name}' has the shape {header.shape}, the weight has {shape}"
                )
            values = arrays[name]
        wrong = np.argwhere((values != 0) & (values != 1))
        if len(wrong):
            where = tuple(int(axis) for axis in wrong[0])
            raise InputError(
                f"{self.path}: the array '{name}' holds {values[where]} at {list(where)}; a mask has 0 and 1"
            )
        return np.ascontiguousarray(values != 0)
