"""Studies of trainings: run, or go on with, all of them; tables of what was found, written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from sim.architecture import Architecture
from sim.results.stored_file import open_stored
from sim.training.execution import OnProgress, run_jobs
from sim.training.folder import StudyFolder, list_table_files, open_folder, read_record, write_record
from sim.training.interpolation import interpolate, list_rows
from sim.training.job import make_job
from sim.training.outcome import Ended
from sim.training.request import RunKey, TrainOptions, TrainRequest, make_train_request
from sim.training.tables import TABLES, TEXTS, RunRecord, make_tables
from workloads.errors import InputError
from workloads.output_files import remove, replace_file
from workloads.training.opening import choose_pruning
from workloads.workload import Workload


@dataclass(frozen=True, eq=False, repr=False)
class TrainingStudy:
    """What a study found.

    Attributes:
        record: What it depended on, as ``training.json`` holds it.
        checkpoints: Of the trainings that were asked for, in their order; none where a study is read back.
        trainings: Of those that have records, in that order; likewise.
        failures: By their names, of trainings that did not end, or of which a machine computed something wrong.
    """

    folder: Path | None
    record: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    failures: Mapping[str, str] = field(default_factory=dict)
    checkpoints: tuple[Path, ...] = ()
    trainings: tuple[RunRecord, ...] = ()

    def __repr__(self) -> str:
        """Say what was trained, and where its files lie; tables are attributes."""
        known = {name: self.record.get(name) for name in ("rates", "seeds", "epochs")}
        words = ", ".join(f"{name} {value}" for name, value in known.items())
        return f"<TrainingStudy of {self.record.get('name')}: {words}, in {self.folder}>"

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Give a table by its name: epochs, tensors, sites, machines, runs, table."""
        if name in TABLES:
            return self.tables[name]
        raise AttributeError(name)


def train(
    workload: str | Path | Workload,
    arch: str | Path | Architecture = "sparsetrain",
    *,
    out: str | Path,
    on_progress: OnProgress = lambda _: None,
    **options: Unpack[TrainOptions],
) -> TrainingStudy:
    """Train a workload on the host, with pruning inside, and execute some of its iterations on the machine.

    Args:
        out: The folder of checkpoints and tables; a study that is there goes on.

    Raises:
        InputError: something cannot be used, or no training could be completed.
    """
    return run_training(
        make_train_request(workload, arch, options), Path(out), on_progress,
        overwrites=options.get("overwrite", False), resumes=options.get("resume", False),
    )  # fmt: skip


def run_training(
    request: TrainRequest, out: Path, on_progress: OnProgress, *, overwrites: bool = False, resumes: bool = False
) -> TrainingStudy:
    """Run a study in a folder, or go on with it there.

    Args:
        overwrites: Whether a study of other inputs may be replaced.
        resumes: Whether there has to be one.

    Raises:
        InputError: something cannot be used, or no training could be completed.
    """
    # What is missing or does not fit is told before anything is written.
    job = make_job(request, request.keys[0], out)
    job.make_observer(job.plan())
    return run_study(request, open_folder(out, request, overwrites=overwrites, resumes=resumes), on_progress)


def run_study(request: TrainRequest, folder: StudyFolder, on_progress: OnProgress) -> TrainingStudy:
    """Run what is left of a study, and write its tables whenever a training has ended.

    Raises:
        InputError: none could be completed.
    """
    jobs = [make_job(request, key, folder.checkpoint(key)) for key in request.keys]
    ended: dict[RunKey, Ended] = {}
    found_runs: dict[RunKey, RunRecord] = {}
    tables: Mapping[str, pd.DataFrame] = {}
    for one in run_jobs(jobs, request.jobs, request.scheduler, on_progress):
        ended[one.key] = one
        if one.records:
            found_runs[one.key] = make_run(request, one)
        tables = make_tables(list(found_runs.values())) if found_runs else {}
        write_tables(folder, tables)
    known = (ended[key] for key in request.keys)
    failures = {one.key.name: words for one in known if (words := find_failure(one)) is not None}
    status = "failed" if failures else "done"
    found: dict[str, Any] = {"failures": failures, "files": list_files(folder), "notices": list_notices(request)}
    targets = tables["runs"]["target_accuracy"].dropna().tolist() if tables else []
    if targets:
        found["target_accuracy"] = targets[0]
    write_record(folder, request, status, found)
    if not any(run.has_ended for run in found_runs.values()):
        raise InputError(next(iter(failures.values())))
    checkpoints = tuple(job.checkpoint for job in jobs)
    trainings = tuple(found_runs[key] for key in request.keys if key in found_runs)
    return TrainingStudy(folder.path, read_record(folder), tables, failures, checkpoints, trainings)


def find_failure(ended: Ended) -> str | None:
    """Say why a training has not ended, or what machines computed wrong of it; None where all is well."""
    if ended.failure is not None:
        return ended.failure
    wrong = [
        (int(one["iteration"]), words)
        for record in ended.records
        for one in record.observations
        for words in one.get("failures", ())
    ]
    if not wrong:
        return None
    (number, words), more = wrong[0], len(wrong) - 1
    others = f"; so are {more} further steps" if more > 1 else "; so is another step" if more else ""
    return f"what a machine computed of iteration {number + 1} is wrong: {words}{others}"


def make_run(request: TrainRequest, ended: Ended) -> RunRecord:
    """Give the records of a training with the machine's figures of every epoch."""
    if not any(record.observations for record in ended.records):
        return RunRecord(ended.key, ended.records, has_ended=ended.failure is None)
    pruning = choose_pruning(request.workload, ended.key.rate)
    found = interpolate(
        ended.records, record_every=request.form.record_every,
        fifo_depth=None if pruning is None else pruning.unpruned_iterations,
    )  # fmt: skip
    # Of several machines under one policy the first is the one that the others are baselines of.
    totals = {one.policy: one.whole for one in reversed(found)}
    return RunRecord(ended.key, ended.records, tuple(list_rows(found)), totals, ended.failure is None)


def list_notices(request: TrainRequest) -> list[str]:
    """List what should be known where results are read."""
    at = request.form.simulate_at
    if not request.contenders or at is None:
        return ["no iteration was executed on a machine"]
    if at.images == request.form.batch:
        return []
    return [
        f"the machine executes a batch of {request.form.batch} as parts of {at.images} images, whose gradients add up"
    ]


def write_tables(folder: StudyFolder, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables as CSV files, and as Parquet files where pyarrow is installed; none of an older table stays."""
    for name, frame in tables.items():

        def write_csv(place: Path, frame: pd.DataFrame = frame) -> None:
            frame.to_csv(place, index=False)

        replace_file(folder.path / f"{name}.csv", write_csv, "--out")
        if has_parquet() and len(frame):

            def write_parquet(place: Path, frame: pd.DataFrame = frame) -> None:
                frame.to_parquet(place, index=False)

            replace_file(folder.path / f"{name}.parquet", write_parquet, "--out")
        else:
            remove(folder.path / f"{name}.parquet")


def has_parquet() -> bool:
    """Tell whether Parquet files can be written."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def list_files(folder: StudyFolder) -> list[str]:
    """Name the tables that are there."""
    return [name for name in list_table_files() if (folder.path / name).exists()]


def read_training(folder: str | Path) -> TrainingStudy:
    """Read a study's tables back.

    Raises:
        InputError: there is none, none of its trainings has ended, or a table is missing or damaged.
    """
    place = StudyFolder(Path(folder))
    record = read_record(place)
    if not any((place.path / f"{name}.csv").exists() for name in TABLES):
        require_end(place, record)
    tables = {name: read_table(place.path / f"{name}.csv") for name in TABLES}
    return TrainingStudy(place.path, record, tables, record.get("failures", {}))


def require_end(folder: StudyFolder, record: Mapping[str, Any]) -> None:
    """Refuse a study that has no tables because no training of it came to an end.

    Raises:
        InputError: it is such a one.
    """
    if record.get("status") == "running":
        raise InputError(f"{folder.path}: no training has ended yet; the command that began them goes on")
    failures = record.get("failures")
    if record.get("status") == "failed" and isinstance(failures, dict) and failures:
        name, sentence = next(iter(failures.items()))
        raise InputError(f"{folder.path}: no training has ended; {name}: {sentence}")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        # A layer may be called NA, and the last digit of a number counts.
        with open_stored(path) as file:
            frame = pd.read_csv(file, dtype="str", keep_default_na=False)
        return pd.DataFrame({name: frame[name] if name in TEXTS else read_numbers(frame[name]) for name in frame})
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: {str(error).strip().splitlines()[0]}") from None


def read_numbers(column: pd.Series) -> pd.Series:
    """Read a column of whole numbers, or of others; an empty cell is none.

    Raises:
        ValueError: it holds something else.
    """
    is_whole = len(column) and column.str.fullmatch("-?[0-9]+").all()
    return column.astype("int64") if is_whole else column.replace("", "nan").astype("float64")
