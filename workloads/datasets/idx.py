"""The IDX format of the MNIST family: big-endian header, then unsigned bytes."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.memory import require_memory
from workloads.npz_file import DEFLATE_RATIO
from workloads.user_file import FileForm, Readable, open_file

UNSIGNED_BYTE = 0x08
FORM = FileForm("an IDX file", limit_bytes=2**36)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes, gzipped where its name ends in .gz; no more is unpacked than its header announces.

    Raises:
        InputError: the file is missing, truncated, of another type, its header does not fit its length, or it needs
            more memory than there is.
    """
    with open_file(path, FORM) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        try:
            if path.suffix != ".gz":
                return _read_stream(path, file, file_bytes)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_stream(path, unpacked, DEFLATE_RATIO * file_bytes)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read; it is damaged or truncated") from error


def _read_stream(path: Path, stream: Readable, most_bytes: int) -> NDArray[np.uint8]:
    """Read header and numbers.

    Args:
        most_bytes: What can be there at most.
    """
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != bytes((0, 0, UNSIGNED_BYTE)):
        raise InputError(f"{path}: does not start as an IDX file of unsigned bytes does (00 00 08)")
    axes = magic[3]
    header = stream.read(4 * axes)
    if len(header) < 4 * axes:
        raise InputError(f"{path}: ends within its header of {axes} axes")
    sizes = struct.unpack(f">{axes}I", header)
    wanted = math.prod(sizes)
    announced = f"{path}: the header announces {' x '.join(map(str, sizes))} bytes, the file holds"
    if wanted > most_bytes:
        raise InputError(f"{announced} at most {max(0, most_bytes - 4 - 4 * axes)}")
    require_memory(wanted, str(path))
    content = stream.read(wanted + 1)
    if len(content) != wanted:
        raise InputError(f"{announced} {len(content) if len(content) < wanted else 'more'}")
    return np.frombuffer(content, dtype=np.uint8).reshape(sizes)
