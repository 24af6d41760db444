"""The folder of a study: what its trainings depend on, a folder of each with its checkpoint, and the tables."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.results.run_inputs import tell_difference
from sim.results.stored_file import open_stored
from sim.training.request import RunKey, TrainRequest
from sim.training.tables import TABLES
from sim.version import MODEL_VERSION
from workloads.errors import InputError
from workloads.output_files import list_leftovers, remove, replace_file, require_writable_parent
from workloads.words import make_sentence

RECORD, CHECKPOINT, RUNS, PAGE = "training.json", "checkpoint.npz", "runs", "index.html"
KIND, SCHEMA = "training", 1
RECORD_LIMIT_BYTES = 2**26
# A worker ends soon after the process that started it, if that was killed: so long is waited for it.
HOLD_TRIES, HOLD_INTERVAL_S = 100, 0.1


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The folder of a study."""

    path: Path

    @property
    def record(self) -> Path:
        """What the study depends on, and how far it is."""
        return self.path / RECORD

    def run(self, key: RunKey) -> Path:
        """The folder of a training."""
        return self.path / RUNS / key.name

    def checkpoint(self, key: RunKey) -> Path:
        """The file of a training's state."""
        return self.run(key) / CHECKPOINT


def open_folder(path: Path, request: TrainRequest, *, overwrites: bool = False, resumes: bool = False) -> StudyFolder:
    """Make the folder of a study, or find that it is there: the same study then goes on.

    Raises:
        InputError: there is something else, a study with other inputs, or none to go on with.
    """
    folder = StudyFolder(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: is a file; a folder is needed")
    if not folder.record.exists():
        if resumes:
            raise InputError(f"--resume: there is no training in {path}")
        if path.is_dir() and len(list(path.iterdir())) > len(list_leftovers(path)):
            raise InputError(f"--out {path}: holds other files; choose another folder, or an empty one")
        require_writable_parent(path / RECORD, f"--out {path}")
    else:
        there = read_record(folder)
        if there["inputs"] != json.loads(json.dumps(request.describe())):
            if not overwrites:
                raise InputError(
                    f"--out {path}: holds a training with other inputs: {tell_change(there['inputs'], request)}; "
                    "choose another folder, or give --overwrite"
                )
            clear_folder(folder)
    path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    write_record(folder, request, "running", {})
    return folder


@contextmanager
def hold_training(folder: Path) -> Iterator[None]:
    """Keep other processes out of a training's folder; nothing is left there when one is killed.

    Raises:
        InputError: another one trains there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        for left in reversed(range(HOLD_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    raise InputError(f"{folder}: another process trains here; wait for its end") from None
                time.sleep(HOLD_INTERVAL_S)
            except OSError:
                # Some network file systems refuse to lock a directory: then there is no such protection.
                break
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed had begun to write; checkpoints may be large, and trainings are killed."""
    for path in list_leftovers(folder):
        remove(path)


def tell_change(there: Mapping[str, Any], request: TrainRequest) -> str:
    """Say how the inputs of the study in a folder differ from those of this one."""
    here = json.loads(json.dumps(request.describe()))
    old, new = ({**told, **(told.get("options") or {})} for told in (there, here))
    for name in ("version", "host", "weights", "sample"):
        if old.get(name) != new.get(name):
            before, after = ("none" if value is None else value for value in (old.get(name), new.get(name)))
            return f"{name} is {before} there, {after} here"
    if (there.get("architecture") is None) != (here["architecture"] is None):
        return "one of the two simulates no machine"
    if there.get("guests") != here.get("guests"):
        return "a technology's file, or an extension of another package, is another one"
    with suppress(KeyError, TypeError):
        found = tell_difference({"steps": [], "layers": "*", **there}, {"steps": [], "layers": "*", **here})
        if found is not None:
            return found
    return "the workload or its data"


def clear_folder(folder: StudyFolder) -> None:
    """Remove what a study of other inputs left: its trainings, its tables and its page, by the names that they have.

    The record goes last, so that what is left of a folder that was not cleared to the end is known as ours.
    """
    shutil.rmtree(folder.path / RUNS, ignore_errors=True)
    for name in (*list_table_files(), PAGE, RECORD):
        remove(folder.path / name)


def list_table_files() -> list[str]:
    """Name the files of all tables."""
    return [f"{name}{ending}" for name in TABLES for ending in (".csv", ".parquet")]


def read_record(folder: StudyFolder) -> dict[str, Any]:
    """Read what a study depends on.

    Raises:
        InputError: there is no such record, or it is damaged.
    """
    with open_stored(folder.record, RECORD_LIMIT_BYTES) as file:
        text = file.read()
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{folder.record}: is damaged: it is no JSON") from None
    if not isinstance(record, dict) or record.get("kind") != KIND or not isinstance(record.get("inputs"), dict):
        raise InputError(f"{folder.record}: is no record of a training")
    if record.get("schema") != SCHEMA:
        raise InputError(
            f"{folder.record}: has the form {make_sentence(str(record.get('schema')), 20)}; this version reads {SCHEMA}"
        )
    return record


def write_record(folder: StudyFolder, request: TrainRequest, status: str, found: Mapping[str, Any]) -> None:
    """Write what a study depends on, and how far it is."""
    data = {
        "kind": KIND,
        "schema": SCHEMA,
        "name": request.workload.name,
        "version": MODEL_VERSION,
        "status": status,
        "rates": sorted({key.rate for key in request.keys}),
        "seeds": sorted({key.seed for key in request.keys}),
        "epochs": request.form.epochs,
        "host": request.host,
        **found,
        "inputs": request.describe(),
    }
    text = json.dumps(data, indent=1) + "\n"

    def fill(place: Path) -> None:
        place.write_text(text, encoding="utf-8")

    replace_file(folder.record, fill, "--out")
