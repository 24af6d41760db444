"""Sizes that files announce are checked before anything of that size is made."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.hostile_files import npy_header, pack_entry
from unit.workloads.dataset_files import refuse

from workloads import memory
from workloads.datasets import file_set
from workloads.datasets.batch_pickle import read_batch
from workloads.datasets.idx import read_idx
from workloads.errors import InputError
from workloads.npz_file import DIRECTORY_LIMIT_BYTES, open_npz


def look_up(path: Path, name: str = "a") -> str:
    with pytest.raises(InputError) as caught, open_npz(path) as arrays:
        arrays[name]
    return str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (npy_header("(8589934592,)"), "is damaged: its shape (8589934592,) needs 34359738368 bytes, it holds 8"),
        (npy_header("(-1,)"), "is damaged: its shape (-1,) has a negative size"),
        (npy_header("(1,)"), "is damaged: it holds more bytes than its shape needs"),
        (npy_header("(1,)", "'O'"), "holds pickled Python objects, which are never loaded"),
        (npy_header("(99,)", "'<U0'"), "is damaged: its shape (99,) needs 0 bytes, it holds 8"),
        (npy_header("(" * 900), "is damaged: its header cannot be read"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "is damaged: EOF: reading array header, expected 4294967295 bytes got 8"),
    ],
)
def test_an_array_is_checked_by_its_header(header: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(pack_entry("a.npy", header + bytes(8)))
    assert look_up(path).startswith(f"{path}: array 'a' {message}")


def test_an_entry_cannot_announce_more_than_its_packed_bytes_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    header = npy_header("(4294967000,)", "'|u1'")
    path.write_bytes(pack_entry("a.npy", header, 4294967000 + len(header)))
    announced = f"it announces {4294967000 + len(header)} bytes, packed into {len(header)}"
    assert look_up(path) == f"{path}: array 'a' is damaged: {announced}"


def test_an_array_that_is_there_but_does_not_fit_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(2**18))
    with open_npz(path) as arrays:
        assert arrays["a"].shape == (2**18,)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
    assert look_up(path) == f"{path}: array 'a' needs 2.0 MiB of memory, 1.0 MiB are available"


def test_an_archive_of_millions_of_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"")
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<L", DIRECTORY_LIMIT_BYTES + 1)
    # A hole of that size in front, so that the file is as large as its directory says.
    with path.open("wb") as file:
        file.seek(DIRECTORY_LIMIT_BYTES + 1)
        file.write(content)
    with pytest.raises(InputError) as caught, open_npz(path):
        pass
    assert str(caught.value) == f"{path}: its directory has 16777217 bytes; 16777216 at most are read"


def idx(sizes: tuple[int, ...], content: bytes) -> bytes:
    return bytes((0, 0, 8, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes) + content


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", idx((2**32 - 1, 28, 28), b""),
         "the header announces 4294967295 x 28 x 28 bytes, the file holds at most 0"),
        ("a.gz", gzip.compress(idx((2, 3), bytes(5))), "the header announces 2 x 3 bytes, the file holds 5"),
        ("a.gz", gzip.compress(idx((2, 3), bytes(10**5))), "the header announces 2 x 3 bytes, the file holds more"),
    ],
    ids=["plain", "cut short", "too much"],
)  # fmt: skip
def test_an_idx_file_is_unpacked_no_further_than_its_header_says(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_idx(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_gzipped_idx_file_cannot_announce_more_than_gzip_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx((2**20, 2**20), b"")))
    most = 1032 * path.stat().st_size - 12
    with pytest.raises(InputError) as caught:
        read_idx(path)
    assert str(caught.value) == f"{path}: the header announces 1048576 x 1048576 bytes, the file holds at most {most}"


def test_an_archive_is_unpacked_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_set, "UNPACKED_LIMIT_BYTES", 2**16)
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(3):
            member = tarfile.TarInfo(f"file{number}")
            member.size = 2**15
            archive.addfile(member, io.BytesIO(bytes(2**15)))
    assert refuse(f"cifar10:{path}") == f"{path}: unpacks to more than 65536 bytes, the most that are read"


def test_an_archive_of_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_set, "MEMBER_LIMIT", 2)
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(3):
            archive.addfile(tarfile.TarInfo(f"file{number}"))
    assert refuse(f"cifar10:{path}") == f"{path}: holds more than 2 files, the most that are read"


def test_a_member_that_announces_more_than_an_archive_may_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    member = tarfile.TarInfo("data_batch_1")
    member.size = 2**60
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    announced = f"{path}: 'data_batch_1' announces {2**60} bytes; {2**30} at most are read"
    assert refuse(f"cifar10:{path}") == announced


@pytest.mark.parametrize(
    "keys",
    [
        {number * (2**61 - 1): 1 for number in range(1, 9)},
        {(1, 2): 1},
        {str(number): 1 for number in range(65)},
        {1.5: 1},
    ],
)
def test_the_keys_of_a_batch_are_a_few_texts(keys: dict[Any, int]) -> None:
    for protocol in (0, 2, 4):
        with pytest.raises(InputError) as caught:
            read_batch(pickle.dumps(keys, protocol=protocol), "batch")
        assert str(caught.value) == (
            "batch: its pickle holds a dictionary of other keys than a few texts, which no CIFAR batch needs; "
            "it is refused"
        )


def test_a_key_whose_hash_takes_for_ever_is_not_hashed() -> None:
    with pytest.raises(InputError) as caught:
        read_batch(b"\x80\x02})" + b"2\x86" * 60 + b"K\x01s.", "batch")
    assert "other keys than a few texts" in str(caught.value)


def test_a_sparse_image_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.touch()
    os.truncate(path, 2**40)
    assert refuse(f"idx:{tmp_path}") == f"{path}: is larger than {2**36} bytes, the most that an IDX file may have"
