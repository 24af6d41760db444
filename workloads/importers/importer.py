"""What an importer is given, what it gives, and what is asked of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from workloads.arrays import Float32Array

# How much of a file is there to recognise it by: behind a licence of some hundred lines.
BEGINNING_BYTES = 2**16


@dataclass(frozen=True)
class ImportRequest:
    """A file to import.

    Attributes:
        label: How messages name the file.
        batch: The images in the batch, for a file that leaves it open.
    """

    path: Path
    label: str
    batch: int | None = None


@dataclass(frozen=True, eq=False)
class ImportedNetwork:
    """A workload as a file tells it.

    Attributes:
        data: The fields of a workload's YAML form.
        weights: The trained parameters by the names of `workloads.weights`; empty where the file has none.
        arrays: What the file holds besides, such as the statistics of a batch norm, by ``<layer>/<name>``; it is kept
            in a file of its own.
        notes: Sentences on what the file leaves open.
    """

    data: dict[str, Any]
    weights: Mapping[str, Float32Array] = field(default_factory=lambda: MappingProxyType({}))
    arrays: Mapping[str, Float32Array] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()


class Importer(ABC):
    """Reads one form of file; made without arguments.

    Attributes:
        words: What such a file is called, with its article.
    """

    words: ClassVar[str]

    @abstractmethod
    def recognises(self, path: Path, beginning: bytes) -> bool:
        """Tell by a file's first 65536 bytes whether it is of this form; files of other forms come along here, too."""

    @abstractmethod
    def read(self, request: ImportRequest) -> ImportedNetwork:
        """Make a workload of a file that was recognised.

        Raises:
            InputError: it is damaged, incomplete, or says what no workload can.
        """
