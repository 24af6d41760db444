"""Families of hostile files: bombs, special files, other programs' files, and headers that announce anything.

Nothing here is large: sizes are announced, or files are sparse.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cli.hostile_inputs import STEERING, Hostile, put
from cli.malformed_inputs import WORKLOAD
from cli.malformed_recordings import RECORDED_WORKLOAD, packed, sound_arrays

HOST_WORKLOAD = """\
name: hosted
batch: 2
input: {channels: 3, height: 4, width: 4}
layers:
  - {name: conv, type: conv2d, out_channels: 2, kernel: 3}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 2}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: "DATASET", seed: 1}
"""
HOST_WEIGHTS = {"conv/weight": (2, 3, 3, 3), "conv/bias": (2,), "fc/weight": (2, 8), "fc/bias": (2,)}


def list_special_files() -> Iterator[Hostile]:
    """Pipes, devices and folders in the place of every file that can be named."""
    makers: dict[str, Callable[[Path], object]] = {
        "a pipe": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a folder": Path.mkdir,
        "a loop": lambda path: path.symlink_to(path.name),
        "a gap": lambda path: put(path.parent, path.name, b"") and os.truncate(path, 2**40),
    }
    places: dict[str, tuple[str, str, list[str]]] = {
        "workload": ("x.yaml", WORKLOAD, ["simulate", "x.yaml"]),
        "workload to validate": ("x.yaml", WORKLOAD, ["validate", "x.yaml"]),
        "workload to show": ("x.yaml", WORKLOAD, ["show", "x.yaml"]),
        "architecture": ("x.yaml", WORKLOAD, ["simulate", "net.yaml", "--arch", "x.yaml"]),
        "baseline": ("x.yaml", WORKLOAD, ["simulate", "net.yaml", "--baseline", "x.yaml"]),
        "technology": ("x.yaml", WORKLOAD, ["technology", "x.yaml"]),
        "sweep": ("x.yaml", WORKLOAD, ["sweep", "x.yaml"]),
        "recording": ("tensors.npz", RECORDED_WORKLOAD, ["simulate", "net.yaml"]),
        "dataset": ("x.npz", HOST_WORKLOAD.replace("DATASET", "x.npz"), ["simulate", "net.yaml"]),
        "weights": ("x.npz", HOST_WORKLOAD.replace("DATASET", "fashion_mnist"),
                    ["simulate", "net.yaml", "--weights", "x.npz"]),
        "profile": ("x.csv", WORKLOAD.replace("source: synthetic", "source: profile, path: x.csv"),
                    ["simulate", "net.yaml"]),
        "image": ("set/a/x.png", HOST_WORKLOAD.replace("DATASET", "images:set"), ["simulate", "net.yaml"]),
        "IDX file": ("set/train-images-idx3-ubyte.gz", HOST_WORKLOAD.replace("DATASET", "idx:set"),
                     ["simulate", "net.yaml"]),
        "archive": ("x.tar.gz", HOST_WORKLOAD.replace("DATASET", "cifar10:x.tar.gz"), ["simulate", "net.yaml"]),
    }  # fmt: skip
    for place, (file, workload, arguments) in places.items():
        for kind, make in makers.items():
            if (place, kind) in {("image", "a folder"), ("archive", "a folder")}:
                continue

            def write(
                folder: Path, file: str = file, workload: str = workload, arguments: list[str] = arguments,
                make: Callable[[Path], object] = make,
            ) -> list[str]:  # fmt: skip
                put(folder, "net.yaml", workload)
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                make(folder / file)
                return arguments

            yield Hostile(f"{kind} for a {place}", write)


FOREIGN: dict[str, bytes] = {
    "model.pt": b"PK\x03\x04" + bytes(26) + b"model/data.pkl" + bytes(60),
    "old.pth": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "model.onnx": b"\x08\x07\x12\x07pytorch\x1a\x051.9.0:\x00\xff\xfe" + bytes(40),
    "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "model.keras": b"PK\x03\x04" + bytes(26) + b"metadata.json" + bytes(60),
    "model.safetensors": struct.pack("<Q", 30) + b'{"a":{"dtype":"F32"}}         ' + bytes(60),
    "model.tflite": b"\x1c\0\0\0TFL3" + bytes(60),
    "model.pb": b"\x0a\x08\x00\xff" + bytes(60),
    "model.gguf": b"GGUF\x03" + bytes(60),
    "batch.pkl": pickle.dumps({"a": [1, 2]}, protocol=4),
    "net.yaml.gz": gzip.compress(WORKLOAD.encode()),
    "net.zip": b"PK\x03\x04" + bytes(26) + b"net.yaml" + bytes(60),
    "tensors.npz": packed(sound_arrays()),
    "tensor.npy": b"\x93NUMPY\x01\0" + bytes(60),
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(60),
    "picture.jpg": b"\xff\xd8\xff\xe0" + bytes(60),
    "paper.pdf": b"%PDF-1.7\n\xe2\xe3" + bytes(60),
    "program": b"\x7fELF\x02" + bytes(60),
    "store.sqlite": b"SQLite format 3\0" + bytes(60),
    "words.yaml": WORKLOAD.encode("utf-16"),
}


def list_foreign_files() -> Iterator[Hostile]:
    """Files of other programs as a workload, an architecture, a profile and weights."""
    for name, content in FOREIGN.items():
        yield Hostile(f"{name} as workload", lambda folder, n=name, c=content: [put(folder, n, c) and "simulate", n])
        path = f"./{name}"
        yield Hostile(f"{name} to validate", lambda folder, n=name, c=content: [put(folder, n, c) and "validate", n])
        yield Hostile(
            f"{name} as architecture",
            lambda folder, n=name, c=content, p=path: [
                *([put(folder, n, c) and "simulate"]), str(put(folder, "w.yaml", WORKLOAD).name), "--arch", p,
            ],
        )  # fmt: skip


def npy_header(shape: str, dtype: str = "'<f4'", padding: int = 0) -> bytes:
    """Write a header that announces anything."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b" " * padding + b"\n"
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text


def pack_entry(name: str, payload: bytes, announced: int | None = None) -> bytes:
    """Write an archive of one stored entry, which may announce another size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, payload)
    content = bytearray(buffer.getvalue())
    if announced is not None:
        sizes = struct.pack("<LL", len(payload), announced)
        content[18:26] = sizes
        directory = content.index(b"PK\x01\x02")
        content[directory + 20 : directory + 28] = sizes
    return bytes(content)


SHAPES = (
    "(8589934592,)", "(1099511627776, 1099511627776)", "(-1,)", "(2, -3, 4)",
    "(9223372036854775807, 9223372036854775807)",
    "(0, 9999999999999999999999)", "()", "(2.5,)", "'all'", "(True,)", "((2, 3), 4)", "[2, 3]",
    "(" * 200 + ")" * 200,
)  # fmt: skip
DTYPES = (
    "'O'",
    "'|O8'",
    "[('a', 'O')]",
    "'<U0'",
    "'V0'",
    "'<U1000000000'",
    "('f4', (100000, 100000))",
    "'nonsense'",
    "3",
)


def list_arrays() -> Iterator[Hostile]:
    """Arrays whose headers announce what the file cannot hold, as recorded tensors, weights and datasets."""
    headers = {f"shape {shape[:40]}": npy_header(shape) for shape in SHAPES}
    headers |= {f"dtype {dtype}": npy_header("(2, 16)", dtype) for dtype in DTYPES}
    headers |= {
        "a long header": npy_header("(2,)", padding=100_000),
        "no header": b"",
        "version 9": b"\x93NUMPY\x09\0" + bytes(60),
    }
    headers["a header of 4 GiB"] = b"\x93NUMPY\x02\0\xff\xff\xff\xff"
    others = {"train_labels.npy": npy_header("(2,)", "'<i8'") + bytes(16)}
    for what, header in headers.items():

        def record(folder: Path, header: bytes = header) -> list[str]:
            arrays = sound_arrays()
            arrays.pop("fc/input")
            buffer = io.BytesIO(packed(arrays))
            with zipfile.ZipFile(buffer, "a") as archive:
                archive.writestr("fc/input.npy", header + bytes(64))
            put(folder, "tensors.npz", buffer.getvalue())
            put(folder, "net.yaml", RECORDED_WORKLOAD)
            return ["simulate", "net.yaml"]

        def load(folder: Path, header: bytes = header) -> list[str]:
            with zipfile.ZipFile(folder / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("train_images.npy", header + bytes(64))
                for name, content in others.items():
                    archive.writestr(name, content)
            put(folder, "net.yaml", HOST_WORKLOAD.replace("DATASET", "set.npz"))
            return ["simulate", "net.yaml"]

        yield Hostile(f"recorded: {what}", record)
        yield Hostile(f"dataset: {what}", load)
    for announced in (2**31, 2**32 - 2):
        images = npy_header(f"({announced}, 1, 1)", "'|u1'")
        content = pack_entry("train_images.npy", images + bytes(64), announced)
        yield Hostile(f"an entry that announces {announced} bytes", host_on("set.npz", content))
    yield Hostile("many names", host_on("set.npz", packed({f"array_{n:05}": np.zeros(1) for n in range(300)})))
    for what, text in STEERING.items():
        if what not in ("null", "surrogate"):
            yield Hostile(f"an array's name with {what}", host_on("set.npz", packed({text: np.zeros(1)})))


def host_on(file: str, content: bytes, address: str | None = None) -> Callable[[Path], list[str]]:
    """Train on a dataset of one file."""

    def write(folder: Path) -> list[str]:
        put(folder, file, content)
        put(folder, "net.yaml", HOST_WORKLOAD.replace("DATASET", address or file))
        return ["simulate", "net.yaml"]

    return write


class Collide:
    """Asks for another function than a batch does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("true",))


def make_batches() -> dict[str, bytes]:
    """Pickles that are slow, large, or ask for something."""
    twin: Any = 0
    for _ in range(12):
        twin = (-1 - (twin == 0), twin)
    return {
        "colliding numbers": pickle.dumps({number * (2**61 - 1): 1 for number in range(1, 300)}),
        "a key that doubles": b"\x80\x02})" + b"2\x86" * 60 + b"K\x01s.",
        "colliding tuples": pickle.dumps({twin: 1}),
        "many keys": pickle.dumps({str(number): 1 for number in range(1000)}),
        "a set": pickle.dumps({"data": {1, 2}}),
        "a frozen set": pickle.dumps({"data": frozenset((1, 2))}),
        "another function": pickle.dumps({"data": Collide()}),
        "a bytearray of 8 EiB": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "bytes of 4 GiB": b"\x80\x04B\xff\xff\xff\xff.",
        "deep lists": b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
        "no end": pickle.dumps({"data": 1})[:-1],
        "a list": pickle.dumps([1, 2]),
        "text": b"hello",
        "many memos": b"\x80\x02}r\xff\xff\xff\x7f.",
        "a long number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    }


def list_datasets() -> Iterator[Hostile]:
    """CIFAR's pickles and archives, IDX files and images."""
    for what, content in make_batches().items():
        yield Hostile(f"a batch with {what}", host_on("set/data_batch_1", content, "cifar10:set"))

        def all_batches(folder: Path, content: bytes = content) -> list[str]:
            for number in range(1, 6):
                put(folder, f"set/data_batch_{number}", content)
            put(folder, "net.yaml", HOST_WORKLOAD.replace("DATASET", "cifar10:set"))
            return ["simulate", "net.yaml"]

        yield Hostile(f"batches with {what}", all_batches)
    for sizes in ((2**32 - 1,) * 3, (2**31, 2, 1), (10**5, 10**5, 10**5), (0, 28, 28), (1, 28, 28)):
        header = bytes((0, 0, 8, 3)) + struct.pack(">3I", *sizes)
        for packing, ending in ((bytes, ""), (gzip.compress, ".gz")):
            name = f"set/train-images-idx3-ubyte{ending}"
            yield Hostile(f"IDX{ending} of {sizes}", host_on(name, packing(header + bytes(20)), "idx:set"))
    bomb = gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 1, 2, 2) + bytes(10**5))
    yield Hostile("a gzip bomb", host_on("set/train-images-idx3-ubyte.gz", bomb, "idx:set"))
    yield Hostile("255 axes", host_on("set/train-images-idx3-ubyte", bytes((0, 0, 8, 255)) + b"\xff" * 1020, "idx:set"))
    yield from list_archives()
    yield from list_images()


def list_archives() -> Iterator[Hostile]:
    """Archives whose members announce or are what none should be."""
    for what, size, kind in (
        ("announces 8 GiB", 2**33 - 1, tarfile.REGTYPE), ("is a link", 0, tarfile.SYMTYPE),
        ("is a pipe", 0, tarfile.FIFOTYPE), ("is a device", 0, tarfile.CHRTYPE),
        ("is a name of 8 GiB", 2**33 - 1, tarfile.GNUTYPE_LONGNAME),
    ):  # fmt: skip
        member = tarfile.TarInfo("cifar/data_batch_1")
        member.size, member.type = size, kind
        content = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
        for packing, name in ((bytes, "set.tar"), (gzip.compress, "set.tar.gz")):
            yield Hostile(f"{name}: a member {what}", host_on(name, packing(content), f"cifar10:{name}"))
    yield Hostile(
        "an archive cut off", host_on("set.tar.gz", gzip.compress(os.urandom(3000))[:2000], "cifar10:set.tar.gz")
    )


def list_images() -> Iterator[Hostile]:
    """Images that announce sizes, or whose pixels are not there."""
    for width, height in ((2**31 - 1, 2**31 - 1), (2**16, 2**16), (2**15, 2**12), (0, 0), (4, 4)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(30))), (b"IEND", b""))
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
        yield Hostile(f"an image of {width} x {height}", host_on("set/a/1.png", content, "images:set"))
    for resize, padding in ((65536, 0), (4, 4096), (1, 0)):

        def write(folder: Path, resize: int = resize, padding: int = padding) -> list[str]:
            text = HOST_WORKLOAD.replace(
                '"DATASET"', f"fashion_mnist, images: {{resize: {resize}, padding: {padding}}}"
            )
            put(folder, "net.yaml", text)
            return ["simulate", "net.yaml"]

        yield Hostile(f"images made {resize} wide, padding {padding}", write)


FILE_FAMILIES = (list_special_files, list_foreign_files, list_arrays, list_datasets)
