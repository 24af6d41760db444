"""Recorded operands: an .npz file with the tensors of every layer that the accelerator executes."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.gradient_masks import make_mask
from workloads.network import Network, Node
from workloads.npz_file import ArrayArchive, open_npz
from workloads.operands import GradientFinish, Operands, add_pruning
from workloads.output_files import replace_file
from workloads.pruning import PruningKey
from workloads.pruning_sites import completes_factor
from workloads.shapes import Step
from workloads.suggestions import did_you_mean
from workloads.words import list_words

ALL_STEPS = (Step.FORWARD, Step.GTA, Step.GTW)
REQUIRED_TENSORS = ("input", "weight", "grad_output")

# The date 1980-01-01 of every entry keeps a file's bytes a function of its tensors alone.
_ENTRY_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class LayerPruning:
    """The threshold with which a layer's PPU prunes the gradient that it writes, and the place of the draws."""

    tau: float
    key: PruningKey


@dataclass(frozen=True)
class Recording:
    """An .npz file whose array names, shapes and types fit the network; the numbers are read layer by layer.

    Attributes:
        first_layer_gta: Whether layers whose input needs no gradient have a GTA all the same.
        prunings: By the layer whose PPU prunes.
        without_gta: Further layers that have none.
        without_gtw: Layers that have no GTW, as those whose weights are frozen.
    """

    path: Path
    network: Network
    arrays: frozenset[str]
    first_layer_gta: bool = True
    prunings: Mapping[str, tuple[LayerPruning, ...]] = field(default_factory=dict)
    without_gta: frozenset[str] = frozenset()
    without_gtw: frozenset[str] = frozenset()

    def layer(self, name: str) -> Operands:
        """Read the operands of one layer.

        Raises:
            InputError: an array is damaged, or holds NaN, infinity or a number that float32 cannot represent.
        """
        shape = self.network.layer_shape(name)
        with open_npz(self.path) as archive:
            input, weight, grad_output = (self._floats(archive, f"{name}/{tensor}") for tensor in REQUIRED_TENSORS)
            bias = self._floats(archive, f"{name}/bias") if f"{name}/bias" in self.arrays else None
            if f"{name}/mask" in self.arrays:
                mask: NDArray[np.bool_] | None = np.ascontiguousarray(archive[f"{name}/mask"])
            else:
                mask = make_mask(self.network, name, input)
            shares = [f"{name}/{tensor}" for tensor in _name_summed(self.network, name)]
            summed = tuple(self._floats(archive, array) for array in shares if array in self.arrays)
            factors = [f"{name}/{tensor}" for tensor in _name_summed(self.network, name, 1)]
            factor_summed = tuple(self._floats(archive, array) for array in factors if array in self.arrays)
        operands = Operands(
            name, shape, input, weight, bias, grad_output, mask, self.steps(name),
            relu_follows=self.network.relu_follows(name), summed=summed, weight_summed=factor_summed,
        )  # fmt: skip
        inputs = self.network.node(name).inputs
        if shape.weighs_activations:
            factor_mask = make_mask(self.network, name, weight, inputs[1])
            operands = dataclasses.replace(operands, weight_finish=GradientFinish(mask=factor_mask))
        for pruning in self.prunings.get(name, ()):
            is_factor = completes_factor(self.network.node(name), pruning.key.layer)
            operands = add_pruning(operands, pruning.tau, pruning.key, is_factor=is_factor)
        return operands

    def steps(self, name: str) -> tuple[Step, ...]:
        """Give the steps that a layer has."""
        return list_recorded_steps(
            self.network, name, first_layer_gta=self.first_layer_gta, without_gta=self.without_gta,
            without_gtw=self.without_gtw,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Operands]:
        """Read the operands of all layers, one layer at a time."""
        return (self.layer(node.name) for node in self.network.compute_nodes())

    def _floats(self, archive: ArrayArchive, array: str) -> Float32Array:
        values = archive[array]
        is_finite = np.isfinite(values)
        if not is_finite.all():
            raise InputError(f"{self._first(array, values, ~is_finite)}; all numbers must be finite")
        converted = _nearest_float32(values)
        is_exact = _equals(converted, values)
        if not is_exact.all():
            raise InputError(
                f"{self._first(array, values, ~is_exact)}, which float32 cannot represent exactly; "
                f"convert the array from {values.dtype} to float32 first"
            )
        return converted

    def _first(self, array: str, values: NDArray[Any], is_bad: NDArray[np.bool_]) -> str:
        where = tuple(int(axis) for axis in np.unravel_index(int(np.argmax(is_bad)), is_bad.shape))
        index = ", ".join(str(axis) for axis in where)
        return f"{self.path}: array '{array}' holds {values[where]} at index [{index}]"


def open_recording(path: Path | str, network: Network) -> Recording:
    """Check that an .npz file holds the arrays that the network needs, by their headers alone.

    Each conv2d and linear layer has `<layer>/input`, `<layer>/weight`, `<layer>/grad_output`; optionally `<layer>/mask`
    (bool, shape of the input; where absent, as `workloads.gradient_masks` makes it of the input) and `<layer>/bias`.
    Where branches meet, `<layer>/summed/0`, `<layer>/summed/1`, ... (shape of the input) are the stored gradients of
    `Network.summed_gradients`, all of them or none; without them nothing is read and added.
    Integers and floats of any width are accepted where float32 represents them exactly. Nothing is unpickled.

    Raises:
        InputError: the file cannot be read, is no .npz, or an array is missing, unknown, or of a wrong shape or type.
    """
    path = Path(path)
    with open_npz(path) as archive:
        names = list(archive)
        _check_names(names, network, path)
        for node in network.compute_nodes():
            for tensor, expected in _allowed_shapes(network, node).items():
                if (array := f"{node.name}/{tensor}") in names:
                    _check_header(archive, array, expected, path)
    return Recording(path, network, frozenset(names))


def list_recorded_steps(
    network: Network, name: str, *, first_layer_gta: bool, without_gta: Container[str], without_gtw: Container[str]
) -> tuple[Step, ...]:
    """Give the steps of a layer of a recording.

    Args:
        first_layer_gta: Whether layers whose input needs no gradient have a GTA all the same.
    """
    is_wanted = first_layer_gta or network.node(name).inputs[0] in network.trained
    has = {Step.GTA: is_wanted and name not in without_gta, Step.GTW: name not in without_gtw}
    return tuple(step for step in Step if has.get(step, True))


def load_recorded(path: Path | str, network: Network, *, first_layer_gta: bool = True) -> Iterator[Operands]:
    """Check an .npz file as `open_recording` does, then read its layers one at a time, in the network's order."""
    return iter(dataclasses.replace(open_recording(path, network), first_layer_gta=first_layer_gta))


def save_recorded(path: Path | str, operands: Iterable[Operands]) -> None:
    """Write operands as an .npz file that `load_recorded` reads; the file appears whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    replace_file(Path(path), lambda partial: write_recorded(partial, operands))


def write_recorded(path: Path, operands: Iterable[Operands]) -> None:
    """Write operands into a file, as `save_recorded` does under a temporary name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for layer in operands:
            if layer.grad_output_for_gta is not None:
                raise InputError(
                    f"layer '{layer.layer}': its GTA reads a pruned copy of its gradient (pruning.for: gta), which "
                    "recorded operands cannot hold"
                )
            _write_layer(archive, layer)


def _write_layer(archive: zipfile.ZipFile, layer: Operands) -> None:
    tensors = {
        "input": layer.input,
        "weight": layer.weight,
        "bias": layer.bias,
        "grad_output": layer.grad_output,
        "mask": layer.mask,
        **{f"summed/{place}": share for place, share in enumerate(layer.summed)},
        **{f"weight_summed/{place}": share for place, share in enumerate(layer.weight_summed)},
    }
    for tensor, values in tensors.items():
        if values is None:
            continue
        entry = zipfile.ZipInfo(f"{layer.layer}/{tensor}.npy", _ENTRY_DATE)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w", force_zip64=True) as file:
            npy.write_array(file, values, allow_pickle=False)


def _check_names(names: list[str], network: Network, path: Path) -> None:
    allowed = {
        f"{node.name}/{tensor}": node for node in network.compute_nodes() for tensor in _allowed_shapes(network, node)
    }
    for name in names:
        if name not in allowed:
            raise InputError(f"{path}: unknown array '{name}'{_unknown_reason(name, network, allowed)}")
    for name in allowed:
        if name.rpartition("/")[2] in REQUIRED_TENSORS and name not in names:
            raise InputError(f"{path}: the array '{name}' is missing; each layer needs {', '.join(REQUIRED_TENSORS)}")
    for node in network.compute_nodes():
        for number in range(2):
            shares = [f"{node.name}/{tensor}" for tensor in _name_summed(network, node.name, number)]
            missing = [share for share in shares if share not in names]
            if missing and len(missing) < len(shares):
                raise InputError(
                    f"{path}: the array '{missing[0]}' is missing; of the gradients that the layer's own is added to, "
                    f"all {len(shares)} are recorded or none"
                )


def _unknown_reason(name: str, network: Network, allowed: Iterable[str]) -> str:
    layer, _, tensor = name.rpartition("/")
    nodes = {node.name: node for node in network.compute_nodes()}
    if layer in nodes and tensor == "bias":
        return f" (the layer '{layer}' has bias: false)"
    near = did_you_mean(name, allowed)
    if layer in nodes:
        return f"{near} (the tensors of '{layer}' are {', '.join(_allowed_shapes(network, nodes[layer]))})"
    return f"{near} (the layers are {list_words(nodes)})"


def _allowed_shapes(network: Network, node: Node) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor that a layer may have, the required ones first."""
    shape = network.layer_shape(node.name)
    shapes: dict[str, tuple[int, ...]] = {
        "input": shape.input_shape,
        "weight": shape.weight_shape,
        "grad_output": shape.output_shape,
        "mask": shape.input_shape,
    }
    if network.has_bias(node.name):
        shapes["bias"] = (shape.output_shape[shape.channel_axis],)
    shapes |= dict.fromkeys(_name_summed(network, node.name), shape.input_shape)
    return shapes | dict.fromkeys(_name_summed(network, node.name, 1), shape.weight_shape)


def _name_summed(network: Network, name: str, number: int = 0) -> tuple[str, ...]:
    """Name the tensors of a layer that hold what its gradient to an input is added to.

    Args:
        number: Which input.
    """
    shares = network.summed_gradients(name, number)
    return tuple(f"{'weight_' * number}summed/{place}" for place in range(len(shares)))


def _check_header(archive: ArrayArchive, array: str, expected: tuple[int, ...], path: Path) -> None:
    header = archive.header(array)
    is_mask = array.endswith("/mask")
    if (header.dtype.kind != "b") if is_mask else (header.dtype.kind not in "iuf"):
        allowed = "bool" if is_mask else "integers or floats"
        raise InputError(f"{path}: array '{array}' must hold {allowed}, got {header.dtype}")
    if header.shape != expected:
        raise InputError(f"{path}: array '{array}' has the shape {header.shape}, the network needs {expected}")


def _nearest_float32(values: NDArray[Any]) -> Float32Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def _equals(converted: Float32Array, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell for each element whether float32 holds it exactly; integers are compared as integers."""
    if values.dtype.kind == "f":
        return np.asarray(converted == values)
    # float32 rounds the largest integers up to a power of two that their own type no longer holds.
    is_in_range = converted < np.float32(2.0 ** (np.iinfo(values.dtype).bits - (values.dtype.kind == "i")))
    back = np.where(is_in_range, converted, np.float32(0)).astype(values.dtype)
    return np.asarray(is_in_range & (back == values))
