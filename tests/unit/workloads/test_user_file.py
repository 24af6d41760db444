"""Regular files of a bounded size are opened, and other programs' files are called by their names."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from cli.hostile_files import FOREIGN

from workloads.errors import InputError
from workloads.file_kinds import MODEL_ADVICE
from workloads.user_file import FileForm, open_file, read_file, resolve_path

TEXT = FileForm("a note", limit_bytes=600, is_text=True)
DATA = FileForm("a record", limit_bytes=600)


def refuse(path: Path, form: FileForm = DATA, label: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_file(path, form, label)
    return str(caught.value)


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "note"
    for content in (b"", b"words", bytes(600)):
        path.write_bytes(content)
        assert read_file(path, DATA) == content
    link = tmp_path / "link"
    link.symlink_to(path)
    with open_file(link, DATA) as file:
        assert file.read(3) == bytes(3)


def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    pipe, link, loop = tmp_path / "pipe", tmp_path / "link", tmp_path / "loop"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    loop.symlink_to(loop)
    regular = "only regular files are read"
    assert refuse(pipe) == f"{pipe}: is a named pipe, not a record; {regular}"
    assert refuse(link, label="mine") == f"mine: is a named pipe, not a record; {regular}"
    assert refuse(Path("/dev/zero")) == f"/dev/zero: is a device, not a record; {regular}"
    assert refuse(tmp_path) == f"{tmp_path}: is a directory, not a record"
    assert refuse(loop) == f"{loop}: cannot be read: Too many levels of symbolic links"
    assert refuse(tmp_path / "none") == f"{tmp_path / 'none'}: there is no such file"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        assert refuse(Path("s")) == "s: is a socket, not a record; only regular files are read"


def test_a_large_file_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 2**40)
    assert refuse(path) == f"{path}: is larger than 600 bytes, the most that a record may have"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.pt", "a PyTorch file"), ("old.pth", "a PyTorch file"), ("model.onnx", "an ONNX model"),
        ("model.h5", "an HDF5 file, as Keras writes models"), ("model.keras", "a Keras model"),
        ("model.safetensors", "a safetensors file"), ("model.tflite", "a TensorFlow Lite model"),
        ("model.pb", "a TensorFlow model"), ("model.gguf", "a GGUF model"),
    ],
)  # fmt: skip
def test_a_model_is_recognised_and_the_way_to_use_it_is_told(name: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FOREIGN[name])
    assert refuse(path, TEXT, "x") == f"x: is {words}, which cannot be read as a note; {MODEL_ADVICE}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("batch.pkl", "a Python pickle"), ("net.yaml.gz", "a gzip file"), ("net.zip", "a zip archive"),
        ("tensors.npz", "an .npz file of arrays"), ("tensor.npy", "a single .npy array"),
        ("picture.png", "a PNG image"), ("picture.jpg", "a JPEG image"), ("paper.pdf", "a PDF file"),
        ("program", "a program"), ("store.sqlite", "an SQLite database, as a sweep's store is"),
        ("words.yaml", "a binary file"),
    ],
)  # fmt: skip
def test_another_binary_file_is_called_by_its_name(name: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FOREIGN[name])
    assert refuse(path, TEXT, "x") == f"x: is {words}, not a note"


def test_a_model_is_recognised_by_its_content_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_bytes(FOREIGN["model.pt"])
    assert refuse(path, TEXT, "x").startswith("x: is a PyTorch file, which cannot be read as a note; ")


def test_text_is_read_whatever_its_ending_says(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_text("größer: 1\n" * 40, encoding="utf-8")
    assert read_file(path, TEXT).decode() == "größer: 1\n" * 40


def test_links_in_a_circle_have_a_path(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert resolve_path(loop).parent == resolve_path(tmp_path)
