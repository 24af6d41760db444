"""Operands from a file of recorded tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from workloads.recorded import load_recorded, open_recording
from workloads.settings import PlainText
from workloads.sources.source import OperandRequest, OperandSource, OperandStream
from workloads.user_file import resolve_path


class RecordedOperands(OperandSource):
    """Tensors from an .npz file; the path is relative to the YAML file.

    first_layer_gta: whether the layers that read images have a gta, whose result nobody needs in training.
    """

    source: Literal["recorded"]
    path: PlainText
    first_layer_gta: bool = True

    def open(self, request: OperandRequest) -> OperandStream:
        """Read the file, layer by layer."""
        path = self.recorded_path(request.base_directory)
        layers = load_recorded(path, request.network, first_layer_gta=self.first_layer_gta)
        return OperandStream(layers, f"recorded tensors of {self.path}", None, {})

    def check(self, request: OperandRequest) -> None:
        """Read all tensors."""
        for _ in open_recording(self.recorded_path(request.base_directory), request.network):
            pass

    def recorded_path(self, base_directory: Path) -> Path:
        """Return the file of recorded operands."""
        return base_directory / self.path

    def with_absolute_paths(self, base_directory: Path) -> Self:
        """Give the source with the file's absolute path."""
        return self.model_copy(update={"path": str(resolve_path(self.recorded_path(base_directory)))})

    @property
    def needless_gta_remedy(self) -> str:
        """How the file leaves out each GTA that nobody needs in training."""
        return "operands: {source: recorded, first_layer_gta: false}"
