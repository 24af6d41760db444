"""Run directories: which may be written, and their files, of which the record keeps size and digest."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.results.rows import FLOAT_FORMAT
from sim.results.run_inputs import tell_difference
from sim.version import SCHEMA_VERSION
from workloads.errors import InputError
from workloads.output_files import OutputSet, OutputTarget, find_mode, name_kind, require_writable_parent
from workloads.yaml_file import dump_yaml

if TYPE_CHECKING:
    import pandas as pd

RUN_FILE, STEPS_FILE, ACTIONS_FILE = "run.json", "steps.csv", "actions.csv"
WORKLOAD_FILE, ARCHITECTURE_FILE = "workload.yaml", "architecture.yaml"
RUN_FILES = (RUN_FILE, STEPS_FILE, ACTIONS_FILE, WORKLOAD_FILE, ARCHITECTURE_FILE)
# Fields of run.json that are about the files and not about the run.
FILES_FIELD, DIGEST_FIELD = "files", "record_sha256"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A directory that a run may be written to; `check_directory` makes it.

    Attributes:
        shown: As it was given.
        place: Where it lies, links followed.
        found: The digest of the run.json that is there.
    """

    shown: Path
    place: Path
    found: str | None

    @property
    def label(self) -> str:
        """The option and the directory, as messages name them."""
        return f"--out {self.shown}"

    def require_unchanged(self) -> None:
        """Refuse a directory in which something was written since it was checked.

        Raises:
            InputError: it holds another run.json, or one at all.
        """
        if digest_found(self.place) != self.found:
            raise InputError(f"{self.label}: another run was written there meanwhile; choose another directory")


def check_directory(directory: Path, inputs: Mapping[str, Any], *, overwrite: bool) -> RunDirectory:
    """Refuse a directory whose files must not be replaced, before any work is done.

    Only files that a run wrote, and that are as it wrote them, are replaced: by a run of the same inputs, or of any
    with `overwrite`. What else lies beside them is left there.

    Raises:
        InputError: the path is no directory, holds something else or another run, or cannot be written to.
    """
    label = f"--out {directory}"
    mode = find_mode(directory, label)
    if mode is not None and not stat.S_ISDIR(mode):
        raise InputError(f"{label}: is {name_kind(mode)}; a directory is needed")
    place = Path(os.path.realpath(directory))
    if Path(os.path.realpath(Path.cwd())).is_relative_to(place):
        raise InputError(f"{label}: is or holds the working directory; name a directory of the run's own")
    if mode is None:
        require_writable_parent(place, label)
        return RunDirectory(directory, place, None)
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"{label}: nothing can be written in {place}")
    if any(place.iterdir()):
        check_files(place, label, inputs, overwrite)
    return RunDirectory(directory, place, digest_found(place))


def check_files(place: Path, label: str, inputs: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse a directory with content, unless its run may be replaced.

    Raises:
        InputError: as in `check_directory`.
    """
    if not os.path.lexists(place / RUN_FILE):
        raise InputError(f"{label}: holds something other than a run ({RUN_FILE}); it is left as it is")
    record = read_own_record(place / RUN_FILE)
    if record is None:
        raise InputError(f"{label}: {RUN_FILE} there is not as a run wrote it; choose another directory")
    if FILES_FIELD not in record:
        if not overwrite:
            raise InputError(
                f"{label}: holds a run of form {record['schema_version']}, which does not list its files; "
                "--overwrite replaces it, or choose another directory"
            )
        return
    for name in RUN_FILES[1:]:
        path = place / name
        if os.path.lexists(path) and describe_file(path) != record[FILES_FIELD].get(name):
            raise InputError(
                f"{label}: {name} there is not as the run wrote it; move it away or choose another directory"
            )
    difference = tell_difference(record, inputs)
    if difference is not None and not overwrite:
        raise InputError(
            f"{label}: holds another run ({difference}); --overwrite replaces it, or choose another directory"
        )


def read_own_record(path: Path) -> dict[str, Any] | None:
    """Read the run.json of a run, of this form unchanged since it was written; None where it is something else.

    Of records of earlier forms, which have no digest, the form is all that is looked at.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not {"version", "workload", "architecture", "totals"} <= set(record):
        return None
    form = record.get("schema_version")
    if isinstance(form, int) and form < SCHEMA_VERSION and FILES_FIELD not in record:
        return record
    is_own = isinstance(record.get(FILES_FIELD), dict) and record.get(DIGEST_FIELD) == digest_record(record)
    return record if is_own else None


def digest_found(place: Path) -> str | None:
    """Give the SHA-256 of the run.json in a directory; None where there is none."""
    try:
        return hashlib.sha256((place / RUN_FILE).read_bytes()).hexdigest()
    except OSError:
        return None


def digest_record(record: Mapping[str, Any]) -> str:
    """Give the SHA-256 of all of a record but its digest, however it is laid out."""
    kept = {name: value for name, value in record.items() if name != DIGEST_FIELD}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def describe_file(path: Path) -> dict[str, Any] | None:
    """Give size and SHA-256 of a file; None of what is no plain file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def stage_run(
    outputs: OutputSet, directory: RunDirectory, record: Mapping[str, Any], steps: pd.DataFrame, actions: pd.DataFrame
) -> None:
    """Write the files of a run under temporary names, the resolved YAML of both inputs among them.

    Raises:
        InputError: they cannot be written.
    """
    if not directory.place.exists():
        outputs.stage_folder(directory.place, directory.label)
    outputs.guard(directory.place.parent, directory.require_unchanged)
    described: dict[str, Any] = {}

    def write(name: str, text: str) -> None:
        def fill(path: Path) -> None:
            path.write_text(text, encoding="utf-8", newline="")
            described[name] = describe_file(path)

        target = OutputTarget(f"--out {directory.shown / name}", directory.place / name)
        outputs.write(target, fill)

    write(STEPS_FILE, steps.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n"))
    write(ACTIONS_FILE, actions.to_csv(index=False, lineterminator="\n"))
    write(WORKLOAD_FILE, dump_yaml(dict(record["workload"])))
    write(ARCHITECTURE_FILE, dump_yaml(dict(record["architecture"])))
    whole = {**record, FILES_FIELD: dict(described)}
    whole[DIGEST_FIELD] = digest_record(whole)
    write(RUN_FILE, json.dumps(whole, indent=2, sort_keys=False) + "\n")
