"""What a file is, by its first bytes and its ending: files of other programs that are given by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

BEGINNING_BYTES = 512
MODEL_ADVICE = (
    "write the network as YAML ('sparsetrain show lenet5' prints one) and save its tensors with numpy.savez, for "
    "--weights or operands: {source: recorded, path: FILE.npz}"
)


@dataclass(frozen=True)
class FileKind:
    """A kind of file in words, and whether it holds a network or its weights."""

    words: str
    is_model: bool = False


PYTORCH = FileKind("a PyTorch file", is_model=True)
SAFETENSORS = FileKind("a safetensors file", is_model=True)
NPY = FileKind("a single .npy array")
NPZ = FileKind("an .npz file of arrays")
ZIP = FileKind("a zip archive")
BINARY = FileKind("a binary file")

_BEGINNINGS: tuple[tuple[bytes, FileKind], ...] = (
    (b"\x93NUMPY", NPY),
    (b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file, as Keras writes models,", is_model=True)),
    (b"GGUF", FileKind("a GGUF model", is_model=True)),
    (b"\x1f\x8b", FileKind("a gzip file")),
    (b"BZh", FileKind("a bzip2 file")),
    (b"\xfd7zXZ\0", FileKind("an xz file")),
    (b"\x28\xb5\x2f\xfd", FileKind("a zstd file")),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive")),
    (b"\x89PNG", FileKind("a PNG image")),
    (b"\xff\xd8\xff", FileKind("a JPEG image")),
    (b"GIF8", FileKind("a GIF image")),
    (b"%PDF", FileKind("a PDF file")),
    (b"\x7fELF", FileKind("a program")),
    (b"PAR1", FileKind("a Parquet file")),
    (b"SQLite format 3\0", FileKind("an SQLite database, as a sweep's store is,")),
)
_ENDINGS: dict[str, FileKind] = {
    **dict.fromkeys((".pt", ".pth", ".ckpt"), PYTORCH),
    ".onnx": FileKind("an ONNX model", is_model=True),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), FileKind("a Keras model", is_model=True)),
    ".safetensors": SAFETENSORS,
    ".tflite": FileKind("a TensorFlow Lite model", is_model=True),
    ".pb": FileKind("a TensorFlow model", is_model=True),
}
_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def recognise(path: PurePath, beginning: bytes) -> FileKind | None:
    """Tell what a binary file is; None for text, whatever its name."""
    kind = _recognise_beginning(beginning)
    is_binary = kind is not None or b"\0" in beginning or _is_no_text(beginning)
    by_ending = _ENDINGS.get(path.suffix.lower())
    if is_binary and by_ending is not None and (kind is None or not kind.is_model):
        return by_ending
    return kind or (BINARY if b"\0" in beginning else None)


def refuse_kind(path: object, kind: FileKind, wanted: str) -> str:
    """Say that a file is another one than is wanted, and what to do with a model."""
    if kind.is_model:
        return f"{path}: is {kind.words.rstrip(',')}, which cannot be read as {wanted}; {MODEL_ADVICE}"
    return f"{path}: is {kind.words} not {wanted}" if kind.words.endswith(",") else (
        f"{path}: is {kind.words}, not {wanted}"
    )  # fmt: skip


def _recognise_beginning(beginning: bytes) -> FileKind | None:
    if beginning.startswith(b"PK\x03\x04"):
        if b"data.pkl" in beginning:
            return PYTORCH
        return NPZ if b".npy" in beginning else ZIP
    if beginning.startswith(_TORCH_MAGIC):
        return PYTORCH
    if beginning[:1] == b"\x80" and beginning[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return FileKind("a Python pickle")
    if beginning[4:8] == b"TFL3":
        return _ENDINGS[".tflite"]
    # Eight bytes with the length of the JSON header that follows.
    if beginning[6:9] == b"\0\0{":
        return SAFETENSORS
    if beginning[257:262] == b"ustar":
        return FileKind("a tar archive")
    return next((kind for start, kind in _BEGINNINGS if beginning.startswith(start)), None)


def _is_no_text(beginning: bytes) -> bool:
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut by the end of what was read.
        return error.start < len(beginning) - 3
    return False
