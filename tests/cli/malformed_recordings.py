"""Malformed .npz files of recorded operands, each with the one sentence that it must be answered with."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cli.malformed_inputs import OPERANDS, WORKLOAD, MalformedInput

RECORDED_WORKLOAD = WORKLOAD.replace(OPERANDS, "operands: {source: recorded, path: tensors.npz}\n")
Arrays = dict[str, Any]


def sound_arrays() -> Arrays:
    """Return arrays that fit `RECORDED_WORKLOAD`; small integers, so that every type holds them."""
    shapes = {
        "conv1/input": (2, 2, 6, 5), "conv1/weight": (3, 2, 3, 3), "conv1/grad_output": (2, 3, 6, 5),
        "conv1/bias": (3,),
        "conv2/input": (2, 3, 6, 5), "conv2/weight": (4, 3, 3, 2), "conv2/grad_output": (2, 4, 2, 2),
        "fc/input": (2, 16), "fc/weight": (3, 16), "fc/grad_output": (2, 3),
    }  # fmt: skip
    rng = np.random.default_rng(7)
    return {name: rng.integers(-3, 4, shape).astype(np.float32) for name, shape in shapes.items()}


def write_recorded_workload(folder: Path, content: bytes | None) -> Path:
    """Write the workload and beside it tensors.npz with this content, or no such file."""
    path = folder / "net.yaml"
    path.write_text(RECORDED_WORKLOAD)
    if content is not None:
        (folder / "tensors.npz").write_bytes(content)
    return path


def packed(arrays: Mapping[str, Any], *, compressed: bool = False) -> bytes:
    """Return the bytes of an .npz file."""
    buffer = io.BytesIO()
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    save(buffer, **arrays)
    return buffer.getvalue()


def from_bytes(name: str, make: Callable[[], bytes | None], message: str) -> MalformedInput:
    """Make a case whose tensors.npz has these bytes; the message goes behind the file's path."""
    return MalformedInput(
        name, lambda folder: write_recorded_workload(folder, make()), "{folder}/tensors.npz: " + message
    )


def from_change(name: str, change: Callable[[Arrays], object], message: str) -> MalformedInput:
    """Make a case from sound arrays that were changed."""

    def make() -> bytes:
        arrays = sound_arrays()
        change(arrays)
        return packed(arrays)

    return from_bytes(name, make, message)


def replaced(name: str, value: object) -> Callable[[Arrays], None]:
    """Make a change that sets one array."""
    return lambda arrays: arrays.update({name: value})


def altered(name: str, index: tuple[int, ...], number: float, dtype: str = "float32") -> Callable[[Arrays], None]:
    """Make a change that converts one array and sets one of its elements."""

    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name].astype(dtype)
        arrays[name][index] = number

    return change


def _pickled_objects(arrays: Arrays) -> None:
    arrays["fc/weight"] = np.full((3, 16), None, dtype=object)


def _single_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def _flipped_bit() -> bytes:
    arrays = sound_arrays()
    content = packed(arrays)
    start = content.index(arrays["conv1/weight"].tobytes())
    return content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :]


def _with_entry(name: str, payload: bytes) -> bytes:
    buffer = io.BytesIO(packed(sound_arrays()))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr(name, payload)
    return buffer.getvalue()


def _with_weight_bytes(change: Callable[[bytes], bytes]) -> bytes:
    arrays = sound_arrays()
    array = io.BytesIO()
    np.save(array, arrays.pop("fc/weight"))
    buffer = io.BytesIO(packed(arrays))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("fc/weight.npy", change(array.getvalue()))
    return buffer.getvalue()


EXPECTED_ZIP = "; a zip archive of .npy arrays, as numpy.savez writes it, is expected"

MALFORMED_RECORDINGS = (
    from_bytes("no recording", lambda: None, "there is no such file"),
    from_bytes("an empty recording", lambda: b"", f"is not an .npz file{EXPECTED_ZIP}"),
    from_bytes("text for a recording", lambda: b"conv1/input: 3\n", f"is not an .npz file{EXPECTED_ZIP}"),
    from_bytes(
        "a pickled dictionary", lambda: pickle.dumps({"fc/weight": [1, 2]}), f"is not an .npz file{EXPECTED_ZIP}"
    ),
    from_bytes("a single array", _single_array, "is a single .npy array, not an .npz file of named arrays"),
    from_bytes("a truncated recording", lambda: packed(sound_arrays())[:-100], f"is cut off or damaged{EXPECTED_ZIP}"),
    from_bytes("half a recording", lambda: packed(sound_arrays())[:900], f"is cut off or damaged{EXPECTED_ZIP}"),
    from_bytes(
        "a flipped bit", _flipped_bit, "array 'conv1/weight' is damaged: Bad CRC-32 for file 'conv1/weight.npy'"
    ),
    from_bytes(
        "an array cut short",
        lambda: _with_weight_bytes(lambda content: content[:-64]),
        "array 'fc/weight' is damaged: its shape (3, 16) needs 192 bytes, it holds 128",
    ),
    from_bytes(
        "an array too long",
        lambda: _with_weight_bytes(lambda content: content + b"more"),
        "array 'fc/weight' is damaged: it holds more bytes than its shape needs",
    ),
    from_bytes(
        "a foreign entry", lambda: _with_entry("notes.txt", b"hello"), "holds 'notes.txt', which is no .npy array"
    ),
    from_bytes("an array twice", lambda: _with_entry("fc/weight.npy", b""), "holds the array 'fc/weight' twice"),
    from_change(
        "pickled objects",
        _pickled_objects,
        "array 'fc/weight' holds pickled Python objects, which are never loaded",
    ),
    from_change(
        "a missing array",
        lambda arrays: arrays.pop("conv2/grad_output"),
        "the array 'conv2/grad_output' is missing; each layer needs input, weight, grad_output",
    ),
    from_change(
        "an unknown tensor",
        replaced("fc/wieght", np.zeros((3, 16))),
        "unknown array 'fc/wieght'; did you mean 'fc/weight'? "
        "(the tensors of 'fc' are input, weight, grad_output, mask)",
    ),
    from_change(
        "an array of no layer", replaced("xyz", np.zeros(1)), "unknown array 'xyz' (the layers are conv1, conv2, fc)"
    ),
    from_change(
        "a bias that the layer lacks",
        replaced("fc/bias", np.zeros(3)),
        "unknown array 'fc/bias' (the layer 'fc' has bias: false)",
    ),
    from_change(
        "a wrong shape",
        replaced("conv2/weight", np.zeros((4, 3, 2, 3))),
        "array 'conv2/weight' has the shape (4, 3, 2, 3), the network needs (4, 3, 3, 2)",
    ),
    from_change(
        "another batch",
        replaced("conv1/input", np.zeros((1, 2, 6, 5))),
        "array 'conv1/input' has the shape (1, 2, 6, 5), the network needs (2, 2, 6, 5)",
    ),
    from_change(
        "a bias of the wrong length",
        replaced("conv1/bias", np.zeros(2)),
        "array 'conv1/bias' has the shape (2,), the network needs (3,)",
    ),
    from_change(
        "complex numbers",
        replaced("fc/input", np.zeros((2, 16), complex)),
        "array 'fc/input' must hold integers or floats, got complex128",
    ),
    from_change(
        "text in an array",
        replaced("fc/input", np.full((2, 16), "a")),
        "array 'fc/input' must hold integers or floats, got <U1",
    ),
    from_change(
        "booleans for numbers",
        replaced("fc/input", np.ones((2, 16), bool)),
        "array 'fc/input' must hold integers or floats, got bool",
    ),
    from_change(
        "a mask of integers",
        replaced("conv2/mask", np.ones((2, 3, 6, 5), np.uint8)),
        "array 'conv2/mask' must hold bool, got uint8",
    ),
    from_change(
        "a mask of the wrong shape",
        replaced("conv2/mask", np.ones((2, 3, 5, 6), bool)),
        "array 'conv2/mask' has the shape (2, 3, 5, 6), the network needs (2, 3, 6, 5)",
    ),
    from_change(
        "NaN",
        altered("conv1/input", (1, 0, 2, 3), np.nan),
        "array 'conv1/input' holds nan at index [1, 0, 2, 3]; all numbers must be finite",
    ),
    from_change(
        "infinity",
        altered("fc/grad_output", (1, 2), -np.inf),
        "array 'fc/grad_output' holds -inf at index [1, 2]; all numbers must be finite",
    ),
    from_change(
        "a number beyond float32",
        altered("fc/input", (0, 5), 1e300, "float64"),
        "array 'fc/input' holds 1e+300 at index [0, 5], which float32 cannot represent exactly; "
        "convert the array from float64 to float32 first",
    ),
    from_change(
        "a number between those of float32",
        altered("fc/input", (1, 0), 0.1, "float64"),
        "array 'fc/input' holds 0.1 at index [1, 0], which float32 cannot represent exactly; "
        "convert the array from float64 to float32 first",
    ),
    from_change(
        "an integer beyond float32's precision",
        altered("fc/weight", (2, 1), 2**24 + 1, "int64"),
        "array 'fc/weight' holds 16777217 at index [2, 1], which float32 cannot represent exactly; "
        "convert the array from int64 to float32 first",
    ),
    from_change(
        "the largest integer",
        altered("fc/weight", (0, 0), 2**63 - 1, "int64"),
        "array 'fc/weight' holds 9223372036854775807 at index [0, 0], which float32 cannot represent exactly; "
        "convert the array from int64 to float32 first",
    ),
)
