"""Files that a command writes: first under temporary names, then moved into place together, or none of them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from workloads.errors import InputError

LINK_LIMIT = 40
TEMPORARY = re.compile(r"\.sparsetrain-[0-9a-f]{16}\.partial")
OPEN_FILE = re.compile(r"/proc/[^/]+/(task/[^/]+/)?fd/[0-9]+")
KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a device"),
)


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """A file that may be written; `check_output` makes it.

    Attributes:
        label: How messages name it.
        place: Where it lies, links followed.
        is_stream: A pipe or a character device, which is written into and not replaced.
        mode: Permissions of the file that is there; None where there is none.
    """

    label: str
    place: Path
    is_stream: bool = False
    mode: int | None = None


def check_output(path: Path, option: str) -> OutputTarget:
    """Find out what a path stands for, and refuse what cannot be written, before any work is done.

    A link is followed: the file it leads to is replaced, the link stays.

    Raises:
        InputError: it is a directory, a socket or a block device, or nothing can be written there; `option` names it.
    """
    label = f"{option} {path}".lstrip()
    mode = find_mode(path, label)
    if mode is None:
        place = Path(os.path.realpath(path))
        require_writable_parent(place, label)
        return OutputTarget(label, place)
    if stat.S_ISDIR(mode):
        raise InputError(f"{label}: is a directory; a file is needed")
    if not os.access(path, os.W_OK):
        raise InputError(f"{label}: is write-protected")
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return OutputTarget(label, path, is_stream=True)
    if not stat.S_ISREG(mode):
        raise InputError(f"{label}: is {name_kind(mode)}; a file, a pipe or a device such as /dev/null is needed")
    if is_open_file(path):
        raise InputError(f"{label}: is a file that is open already; name the file itself")
    place = Path(os.path.realpath(path))
    require_writable_parent(place, label)
    return OutputTarget(label, place, mode=stat.S_IMODE(mode))


def find_mode(path: Path, label: str) -> int | None:
    """Give the mode of what a path leads to; None where nothing is there.

    Raises:
        InputError: the path cannot be one.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{label}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def name_kind(mode: int) -> str:
    """Name what lies somewhere, with its article."""
    return next((words for is_kind, words in KINDS if is_kind(mode)), "a special file")


def is_open_file(path: Path) -> bool:
    """Tell whether a path, or a link on its way, is a descriptor of a process, such as /dev/stdout."""
    for _ in range(LINK_LIMIT):
        here = Path(os.path.realpath(path.absolute().parent)) / path.name
        if OPEN_FILE.fullmatch(str(here)):
            return True
        if not here.is_symlink():
            return False
        path = here.parent / here.readlink()
    return False


def require_writable_parent(path: Path, label: str) -> None:
    """Refuse a path whose nearest existing parent cannot be written to.

    Raises:
        InputError: names the path and the parent.
    """
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{label}: nothing can be written in {parent}")


@contextmanager
def naming_failures(label: str, place: Path) -> Iterator[None]:
    """Say of an operating system's error which file it was about, and where that lies.

    Raises:
        InputError: such an error came.
    """
    try:
        yield
    except OSError as error:
        # The temporary name that the error may hold says nothing to anybody.
        raise InputError(f"{label}: cannot be written in {place.parent}: {error.strerror or error}") from error


@dataclass(eq=False)
class Move:
    """A file or folder under a temporary name, and the place it is to be moved to."""

    label: str
    temporary: Path
    place: Path
    backup: Path | None = None

    def go(self) -> None:
        """Move it into place; what was there is kept until the whole set is in place."""
        with naming_failures(self.label, self.place):
            if self.place.is_dir():
                # Over an empty directory, if it is one; anything else is refused by the system.
                self.temporary.rename(self.place)
                return
            if os.path.lexists(self.place):
                self.backup = name_temporary(self.place)
                keep_aside(self.place, self.backup)
            self.temporary.replace(self.place)

    def undo(self) -> None:
        """Bring back what was there."""
        with suppress(OSError):
            if self.backup is not None:
                if os.path.lexists(self.backup):
                    self.backup.replace(self.place)
                    # Of two names of one file the system removes neither.
                    self.backup.unlink(missing_ok=True)
            elif not os.path.lexists(self.temporary):
                self.place.rename(self.temporary)


def keep_aside(place: Path, backup: Path) -> None:
    """Give a file a second name; where the file system has no such thing, another name."""
    try:
        os.link(place, backup, follow_symlinks=False)
    except (OSError, NotImplementedError):
        place.rename(backup)


def name_temporary(place: Path) -> Path:
    """Make up a name beside a place, short enough wherever the place's own is."""
    return place.parent / f".sparsetrain-{uuid4().hex[:16]}.partial"


def list_leftovers(folder: Path) -> list[Path]:
    """List what lies in a folder under temporary names: of processes that write there now, or that were killed."""
    return [path for path in sorted(folder.iterdir()) if TEMPORARY.fullmatch(path.name)]


@dataclass(eq=False)
class OutputSet:
    """What one command writes; used in a `with` block, at whose end all that was not moved into place is removed.

    Write everything, then `commit`. Pipes and devices are written into first, since that cannot be taken back.
    """

    _moves: list[Move] = field(default_factory=list)
    _folders: list[Move] = field(default_factory=list)
    _streams: list[tuple[OutputTarget, Path]] = field(default_factory=list)
    _made: list[Path] = field(default_factory=list)
    _guards: list[tuple[Path, Callable[[], None]]] = field(default_factory=list)
    _is_done: bool = False

    def __enter__(self) -> OutputSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean_up()

    def stage(self, target: OutputTarget) -> Path:
        """Give an empty file to write what shall stand in the target.

        Raises:
            InputError: it cannot be made.
        """
        if target.is_stream:
            handle, name = tempfile.mkstemp(prefix="sparsetrain-")
            os.close(handle)
            self._streams.append((target, Path(name)))
            return Path(name)
        with naming_failures(target.label, target.place):
            for folder in self._folders:
                if target.place.is_relative_to(folder.place):
                    inside = folder.temporary / target.place.relative_to(folder.place)
                    inside.parent.mkdir(parents=True, exist_ok=True)
                    return inside
            self._make_folders(target.place.parent)
            temporary = name_temporary(target.place)
            self._moves.append(Move(target.label, temporary, target.place))
            # With the permissions that the file will have: by default those that the user's umask leaves.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            if target.mode is not None:
                temporary.chmod(target.mode)
        return temporary

    def stage_folder(self, place: Path, label: str) -> Path:
        """Give an empty folder for what shall stand in a folder that is not there yet.

        Raises:
            InputError: it cannot be made.
        """
        with naming_failures(label, place):
            self._make_folders(place.parent)
            move = Move(label, name_temporary(place), place)
            self._moves.append(move)
            self._folders.append(move)
            move.temporary.mkdir()
        return move.temporary

    def write(self, target: OutputTarget, fill: Callable[[Path], None]) -> None:
        """Let `fill` write what shall stand in the target.

        Raises:
            InputError: it cannot be written, as where the disk is full.
        """
        temporary = self.stage(target)
        with naming_failures(target.label, target.place):
            fill(temporary)

    def guard(self, folder: Path, check: Callable[[], None]) -> None:
        """Have `check` called just before everything is moved, while no other process moves anything in `folder`."""
        self._guards.append((folder, check))

    def commit(self) -> None:
        """Move everything into place; if anything fails, nothing is moved.

        Raises:
            InputError: something cannot be moved, or a pipe or device takes no more.
        """
        with ExitStack() as locks:
            for folder in sorted({folder for folder, _ in self._guards}):
                locks.enter_context(hold_folder(folder))
            for _, check in self._guards:
                check()
            for target, stored in self._streams:
                send(stored, target)
            begun: list[Move] = []
            try:
                for move in self._moves:
                    begun.append(move)
                    move.go()
            except BaseException:
                for move in reversed(begun):
                    move.undo()
                raise
            self._is_done = True

    def _make_folders(self, folder: Path) -> None:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            with suppress(FileExistsError):
                one.mkdir()
                self._made.append(one)

    def _clean_up(self) -> None:
        for _, stored in self._streams:
            stored.unlink(missing_ok=True)
        for move in self._moves:
            remove(move.temporary)
            if move.backup is not None and self._is_done:
                remove(move.backup)
        if not self._is_done:
            for folder in reversed(self._made):
                with suppress(OSError):
                    folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other processes and threads that do the same out of a folder; nothing is left there when one is killed."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems refuse to lock a directory: then there is no such protection.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def send(stored: Path, target: OutputTarget) -> None:
    """Write a file's bytes into a pipe or a device.

    Raises:
        InputError: nobody reads the pipe, or it takes no more.
    """
    try:
        # Opened as it stands, a pipe without a reader would wait for one for ever.
        descriptor = os.open(target.place, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "wb") as sink, stored.open("rb") as source:
            shutil.copyfileobj(source, sink)
    except OSError as error:
        why = "is a pipe that nobody reads" if error.errno == errno.ENXIO else f"cannot be written: {error.strerror}"
        raise InputError(f"{target.label}: {why}") from None


def replace_file(path: Path, write: Callable[[Path], None], option: str = "") -> None:
    """Let `write` fill a temporary file beside `path`, then move it into place; pipes and devices are written into.

    Raises:
        InputError: the path cannot be written; `option` is what gave it.
    """
    with OutputSet() as outputs:
        outputs.write(check_output(path, option), write)
        outputs.commit()
