"""What was recorded of a model's training iteration: a workload whose operands are its tensors."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.output_files import OutputSet, check_output
from workloads.recorded import write_recorded
from workloads.workload import Workload, make_workload
from workloads.yaml_file import dump_yaml


@dataclass(frozen=True, eq=False)
class CapturedRecording:
    """One training iteration of a model; `simulate` takes it, and `save` writes it as files.

    Attributes:
        form: The workload in its YAML form, without the path of its operands.
        operands: Of each layer that the accelerator executes.
        notices: Sentences on what the recording leaves out.
    """

    form: Mapping[str, Any]
    operands: tuple[Operands, ...]
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<CapturedRecording {self.name}: {len(self.operands)} layers to accelerate, batch {self.form['batch']}>"

    @property
    def name(self) -> str:
        """The name of the recorded model."""
        return str(self.form["name"])

    def save(self, path: str | Path) -> None:
        """Write the workload to a .yaml file, and its tensors to an .npz file beside it; both or none.

        Raises:
            InputError: the name is none of a YAML file, or a file cannot be written.
        """
        path = Path(path)
        tensors = find_tensors(path)
        with OutputSet() as outputs:
            text = dump_yaml(self.make_form(tensors.name))
            outputs.write(check_output(path, ""), lambda partial: _write_text(partial, text))
            outputs.write(check_output(tensors, ""), lambda partial: write_recorded(partial, self.operands))
            outputs.commit()

    def make_form(self, tensors: str) -> dict[str, Any]:
        """Give the workload in its YAML form, with the path of its tensors."""
        operands = {"source": "recorded", "path": tensors, **self.form["operands"]}
        return {**self.form, "operands": operands}

    @cached_property
    def workload(self) -> Workload:
        """The recording as a workload, its tensors in a temporary file that goes with this process, or before."""
        folder = Path(tempfile.mkdtemp(prefix="sparsetrain-recording-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        tensors = f"{self.name}.npz"
        write_recorded(folder / tensors, self.operands)
        return make_workload(YamlDocument(f"the recording of {self.name}", self.make_form(tensors)), folder)


def find_tensors(path: Path) -> Path:
    """Name the file of a recording's tensors, beside its YAML file.

    Raises:
        InputError: the path is none of a YAML file, or one of the two cannot be written.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path}: a recording is saved as a .yaml file with an .npz file beside it")
    tensors = path.with_suffix(".npz")
    for one in (path, tensors):
        check_output(one, "")
    return tensors


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
