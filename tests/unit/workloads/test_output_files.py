"""What is written appears whole and together, and nothing that was there changes its kind."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from workloads.errors import InputError
from workloads.output_files import OutputSet, check_output, list_leftovers, name_temporary, replace_file


def write(text: str, path: Path) -> None:
    """Write a text through the writer, as if --csv had named the path."""
    replace_file(path, lambda temporary: temporary.write_text(text) and None, "--csv")


def refusal(path: Path) -> str:
    """Give the sentence with which a path is refused."""
    with pytest.raises(InputError) as caught:
        write("text", path)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_gets_its_folders_and_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write("text", tmp_path / "a" / "b" / "new.csv")
    finally:
        os.umask(before)
    path = tmp_path / "a" / "b" / "new.csv"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("text", 0o640)
    assert names(path.parent) == ["new.csv"]


def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("old")
    path.chmod(0o604)
    write("new", path)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o604)
    assert names(tmp_path) == ["old.csv"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(is_there: bool, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link, chained = tmp_path / "far" / "file", tmp_path / "link", tmp_path / "chained"
    link.symlink_to(target)
    chained.symlink_to("link")
    if is_there:
        target.write_text("old")
    write("new", chained)
    assert (str(link.readlink()), str(chained.readlink()), target.read_text()) == (str(target), "link", "new")
    assert not target.is_symlink()
    assert names(tmp_path / "far") == ["file"]


def test_a_name_as_long_as_file_systems_allow_can_be_written(tmp_path: Path) -> None:
    write("text", tmp_path / ("n" * 255))
    assert names(tmp_path) == ["n" * 255]


def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as file:
        thread = threading.Thread(target=lambda: read.append(file.read()))
        # Opened without waiting, the reader would see the end before there is a writer.
        held = os.open(path, os.O_WRONLY)
        thread.start()
        write("text" * 50_000, path)
        os.close(held)
        thread.join()
    assert (read, stat.S_ISFIFO(path.stat().st_mode), names(tmp_path)) == ([b"text" * 50_000], True, ["pipe"])


def test_a_pipe_that_nobody_reads_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == f"--csv {tmp_path}/pipe: is a pipe that nobody reads"


def test_a_device_is_written_into_and_stays_a_device() -> None:
    write("text", Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert refusal(Path("/dev/full")) == "--csv /dev/full: cannot be written: No space left on device"
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_directory_a_socket_and_a_loop_of_links_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"--csv {tmp_path}: is a directory; a file is needed"
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("socket")
            assert refusal(Path("socket")) == (
                "--csv socket: is a socket; a file, a pipe or a device such as /dev/null is needed"
            )
    finally:
        os.chdir(here)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert refusal(tmp_path / "a").startswith(f"--csv {tmp_path}/a: cannot be written: Too many levels of symbolic")
    assert refusal(tmp_path / ("x" * 300)) == (f"--csv {tmp_path}/{'x' * 300}: cannot be written: File name too long")


def test_a_file_that_is_open_already_is_not_replaced_under_its_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        path = Path(f"/dev/fd/{file.fileno()}")
        assert refusal(path) == f"--csv {path}: is a file that is open already; name the file itself"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_is_write_protected_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o444)
    assert refusal(path) == f"--csv {path}: is write-protected"
    tmp_path.chmod(0o555)
    assert refusal(tmp_path / "new") == f"--csv {tmp_path}/new: nothing can be written in {tmp_path}"


def test_all_outputs_come_back_where_the_last_cannot_be_moved_into_place(tmp_path: Path) -> None:
    first, second, third = tmp_path / "first", tmp_path / "new" / "second", tmp_path / "third"
    first.write_text("old")

    def write_all() -> None:
        with OutputSet() as outputs:
            folder = outputs.stage_folder(tmp_path / "folder", "--out folder")
            (folder / "inside").touch()
            for path in (first, second, third):
                outputs.write(check_output(path, "-o"), lambda temporary: temporary.write_text("new") and None)
            third.mkdir()
            outputs.commit()

    with pytest.raises(InputError) as caught:
        write_all()
    assert str(caught.value) == f"-o {third}: cannot be written in {tmp_path}: Is a directory"
    assert (first.read_text(), names(tmp_path)) == ("old", ["first", "third"])


def test_nothing_is_left_of_outputs_that_were_not_committed(tmp_path: Path) -> None:
    with OutputSet() as outputs:
        outputs.stage(check_output(tmp_path / "a" / "b", ""))
        outputs.stage_folder(tmp_path / "c" / "d", "")
    assert names(tmp_path) == []


def test_a_file_inside_a_new_folder_appears_with_it(tmp_path: Path) -> None:
    with OutputSet() as outputs:
        outputs.stage_folder(tmp_path / "run", "--out run")
        target = check_output(tmp_path / "run" / "deep" / "values", "--save-outputs")
        outputs.write(target, lambda temporary: temporary.write_text("values") and None)
        assert not (tmp_path / "run").exists()
        outputs.commit()
    assert (tmp_path / "run" / "deep" / "values").read_text() == "values"
    assert names(tmp_path) == ["run"]


def test_leftovers_are_what_has_a_temporary_name(tmp_path: Path) -> None:
    for name in ("a.csv", ".sparsetrain-1.partial", ".sparsetrain-0123456789abcdef.partial.csv"):
        (tmp_path / name).write_text("")
    leftover = name_temporary(tmp_path / "a.csv")
    leftover.write_text("half of")
    assert list_leftovers(tmp_path) == [leftover]
