"""Weights of a network from an .npz file, and beside them the running statistics of its batch norms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.host import initial_statistics, parameter_shapes
from workloads.importers.importer import ImportRequest
from workloads.importers.table import find_importer
from workloads.network import Network
from workloads.npz_file import FORM, ArrayHeader, open_npz
from workloads.validation import did_you_mean

ALLOWED_TYPES = ("float16", "float32")


def load_weights(path: Path, network: Network) -> dict[str, NDArray[np.float32]]:
    """Read every parameter of a network: `<layer>/weight` and `bias`, of batch norm `<layer>/scale` and `shift`.

    The arrays are float16 or float32 and of the layers' shapes, all of them and no others. Only the running `mean` and
    `variance` of a batch norm may be there too, which an iteration of training has no use for. Nothing is unpickled.
    The file is an .npz file, or the model that the network was imported from.

    Raises:
        InputError: the file cannot be read, an array is missing, unknown, of a wrong shape or type, or not finite.
    """
    shapes = parameter_shapes(network)
    with open_parameters(path, network.input_shape[0]) as arrays:
        _check_names(path, network.name, arrays, shapes, frozenset(statistics_shapes(network)))
        return {name: _read_array(path, name, arrays, shape) for name, shape in shapes.items()}


def load_statistics(path: Path, network: Network) -> dict[str, NDArray[np.float32]]:
    """Read the running statistics of every batch norm, `<layer>/mean` and `<layer>/variance`, each ``(C,)``.

    Raises:
        InputError: the file cannot be read, or lacks one, or one does not fit or is no variance.
    """
    shapes = statistics_shapes(network)
    with open_parameters(path, network.input_shape[0]) as arrays:
        missing = [name for name in shapes if name not in arrays]
        if missing:
            raise InputError(
                f"{path}: the array '{missing[0]}' is missing; '{network.name}' needs the running mean and variance of "
                "each batch norm to be evaluated"
            )
        read = {name: _read_array(path, name, arrays, shape) for name, shape in shapes.items()}
    for name, array in read.items():
        if name.endswith("/variance") and (array < 0).any():
            raise InputError(f"{path}: the array '{name}' holds {array.min()}; a variance is not negative")
    return read


def statistics_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Shape of every running statistic: `<layer>/mean` and `variance` of each batch norm."""
    return {name: array.shape for name, array in initial_statistics(network).items()}


class Parameters(Protocol):
    """Arrays by name, whose headers can be read without them."""

    def header(self, name: str, /) -> ArrayHeader:
        """Give an array's shape and type."""
        ...

    def __contains__(self, name: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def __getitem__(self, name: str, /) -> NDArray[Any]: ...


class ImportedParameters(dict[str, NDArray[Any]]):
    """The arrays of an imported model."""

    def header(self, name: str, /) -> ArrayHeader:
        """Give an array's shape and type."""
        array = self[name]
        return ArrayHeader(array.shape, array.dtype, array.nbytes)


@contextmanager
def open_parameters(path: Path, batch: int) -> Iterator[Parameters]:
    """Open an .npz file, or import the model.

    Args:
        batch: Of the network, should the model leave it open.

    Raises:
        InputError: it cannot be read.
    """
    importer = find_importer(path, wanted=FORM.words)
    if importer is not None:
        yield ImportedParameters(importer.read(ImportRequest(path, str(path), batch)).weights)
        return
    with open_npz(path) as arrays:
        yield arrays


def _check_names(
    path: Path, network: str, given: Parameters, wanted: Mapping[str, Any], ignored: frozenset[str]
) -> None:
    missing = [name for name in wanted if name not in given]
    if missing:
        raise InputError(
            f"{path}: the array '{missing[0]}' is missing; network '{network}' has {len(wanted)} parameters, "
            f"{len(missing)} of them are not in the file"
        )
    for name in given:
        if name not in wanted and name not in ignored:
            raise InputError(f"{path}: the array '{name}' is no parameter of '{network}'{did_you_mean(name, wanted)}")


def _read_array(path: Path, name: str, arrays: Parameters, shape: tuple[int, ...]) -> NDArray[np.float32]:
    header = arrays.header(name)
    if header.dtype not in ALLOWED_TYPES:
        raise InputError(f"{path}: the array '{name}' must be {' or '.join(ALLOWED_TYPES)}, got {header.dtype}")
    if header.shape != shape:
        raise InputError(f"{path}: the array '{name}' has the shape {header.shape}, the network needs {shape}")
    array = arrays[name]
    is_finite = np.isfinite(array)
    if not is_finite.all():
        where = tuple(int(axis) for axis in np.argwhere(~is_finite)[0])
        raise InputError(f"{path}: the array '{name}' holds {array[where]} at {list(where)}; all must be finite")
    return np.ascontiguousarray(array, dtype=np.float32)
