"""A library that only an extra brings is asked for in one sentence, before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from cli.command import Outcome, run_command, write_small
from cli.malformed_sweeps import SWEEP

from reports.sweep_commands import write_results
from workloads.capture import prune_gradients
from workloads.errors import InputError

SEARCH = SWEEP + "search: {sampler: random, trials: 2, objectives: [cycles]}\n"


def run_without(monkeypatch: pytest.MonkeyPatch, library: str, folder: Path, text: str, *arguments: str) -> Outcome:
    """Run a command on small.yaml and sweep.yaml where a library is not installed."""
    write_small(folder)
    (folder / "sweep.yaml").write_text(text)
    monkeypatch.setitem(sys.modules, library, None)
    return run_command(folder, *arguments)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_search_without_optuna_says_how_it_is_installed(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run_without(monkeypatch, "optuna", tmp_path, SEARCH, "sweep", "sweep.yaml", *options)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "",
        "sparsetrain: sweep.yaml: search needs the library optuna, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[search]' installs it\n",
    )  # fmt: skip
    assert outcome.files == ("small.yaml", "sweep.yaml")


def test_a_sweep_without_a_search_needs_no_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_without(monkeypatch, "optuna", tmp_path, SWEEP, "sweep", "sweep.yaml", "--dry-run")
    assert (outcome.exit_code, outcome.stderr) == (0, "")


def test_a_training_by_torch_where_it_is_not_says_how_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("train", "lenet5", "--host", "torch", "--no-simulate")
    outcome = run_without(monkeypatch, "torch", tmp_path, SWEEP, *arguments)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "",
        "sparsetrain: --host torch needs the library torch, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[torch]' installs it\n",
    )  # fmt: skip
    assert outcome.files == ("small.yaml", "sweep.yaml")


def test_a_scheduler_without_dask_says_how_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = ("--scheduler", "tcp://127.0.0.1:1")
    outcome = run_without(monkeypatch, "distributed", tmp_path, SWEEP, "sweep", "sweep.yaml", *address)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "",
        "sparsetrain: --scheduler needs the library distributed, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[dask]' installs it\n",
    )  # fmt: skip
    assert outcome.files == ("small.yaml", "sweep.yaml")


def test_parquet_without_pyarrow_says_how_it_is_installed_and_writes_no_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pandas has loaded pyarrow already where it is there, so the command as a whole cannot be run without it.
    frame = pd.DataFrame({"cycles": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError) as caught:
        write_results(frame, tmp_path / "rows.csv", tmp_path / "rows.parquet")
    assert str(caught.value) == (
        "--parquet needs the library pyarrow, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[parquet]' installs it"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_torch_says_how_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("capture", "net:make", "-o", "net.yaml")
    outcome = run_without(monkeypatch, "torch", tmp_path, SWEEP, *arguments)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "",
        "sparsetrain: capture needs the library torch, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[torch]' installs it\n",
    )  # fmt: skip
    assert outcome.files == ("small.yaml", "sweep.yaml")


def test_pruning_a_training_without_torch_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError) as caught:
        prune_gradients(None, 0.9)
    assert str(caught.value) == (
        "prune_gradients needs the library torch, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[torch]' installs it"
    )
