"""The address of a dataset: a shipped name, a path whose form is found out, or KIND:PATH."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from workloads.datasets.cifar_batches import CIFAR10, CIFAR100
from workloads.datasets.cifar_sheets import SHEETS
from workloads.datasets.file_set import ARCHIVE_ENDINGS, FileSet
from workloads.datasets.idx_folder import is_idx_folder
from workloads.datasets.image_folder import is_image_folder
from workloads.errors import InputError
from workloads.user_file import resolve_path
from workloads.validation import did_you_mean

SHIPPED = {"fashion_mnist": Path(__file__).with_name("fashion_mnist.npz")}


class DatasetKind(StrEnum):
    """The forms on disk that can be loaded."""

    CIFAR10 = "cifar10"
    CIFAR100 = "cifar100"
    IDX = "idx"
    IMAGES = "images"
    NPZ = "npz"


FORMS = f"a name ({', '.join(SHIPPED)}), a path, or KIND:PATH with one of the kinds {', '.join(DatasetKind)}"


@dataclass(frozen=True)
class DatasetAddress:
    """Where a dataset lies; kind None means that its form is to be found out."""

    path: Path
    kind: DatasetKind | None = None

    def __str__(self) -> str:
        """Write the address as it is parsed."""
        return str(self.path) if self.kind is None else f"{self.kind}:{self.path}"


def parse_address(text: str, base_directory: Path = Path()) -> DatasetAddress:
    """Read an address; a relative path is taken from `base_directory`.

    Raises:
        InputError: the kind is unknown, or the path is empty.
    """
    if text in SHIPPED:
        return DatasetAddress(SHIPPED[text], DatasetKind.NPZ)
    head, colon, tail = text.partition(":")
    if colon and head in tuple(DatasetKind):
        if not tail:
            raise InputError(f"dataset '{text}' has no path; give {head}:PATH")
        return DatasetAddress(base_directory / tail, DatasetKind(head))
    # A path may have a colon of its own; what is there is taken.
    if colon and not (base_directory / text).exists():
        near = did_you_mean(head, DatasetKind)
        raise InputError(f"dataset '{text}' has the unknown kind '{head}'{near} (allowed are {FORMS})")
    return DatasetAddress(base_directory / text)


def make_absolute(text: str, base_directory: Path) -> str:
    """Write an address so that it means the same from every folder; a shipped name stays."""
    if text in SHIPPED:
        return text
    address = parse_address(text, base_directory)
    return str(DatasetAddress(resolve_path(address.path), address.kind))


def find_kind(path: Path) -> DatasetKind:
    """Find out the form of a dataset from the names of its files.

    Raises:
        InputError: there is nothing, or not exactly one form fits.
    """
    if path.suffix == ".npz":
        return DatasetKind.NPZ
    if not path.exists():
        raise InputError(f"dataset '{path}' is unknown; allowed are {FORMS}")
    found = []
    if path.is_dir() or path.name.endswith(ARCHIVE_ENDINGS):
        names = find_cifar_files(path).names
        if {*CIFAR10.files["train"], *CIFAR10.files["test"], *SHEETS["train"], *SHEETS["test"]} & names:
            found.append(DatasetKind.CIFAR10)
        if {*CIFAR100.files["train"], *CIFAR100.files["test"]} <= names:
            found.append(DatasetKind.CIFAR100)
    if is_idx_folder(path):
        found.append(DatasetKind.IDX)
    if path.is_dir() and not found and is_image_folder(path):
        found.append(DatasetKind.IMAGES)
    if len(found) != 1:
        reason = f"could be {' or '.join(found)}" if found else "holds no form of dataset that is known"
        raise InputError(f"{path}: {reason}; say which with KIND:PATH, one of the kinds {', '.join(DatasetKind)}")
    return found[0]


def find_cifar_files(path: Path) -> FileSet:
    """Give the files of a CIFAR folder or archive; also of a folder that holds the usual one alone."""
    if path.is_dir():
        for name in ("cifar-10-batches-py", "cifar-100-python", "package"):
            if (path / name).is_dir():
                return FileSet(path / name)
    return FileSet(path)
