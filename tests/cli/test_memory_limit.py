"""`simulate --memory-limit`: results are the same, and the files of what was kept are gone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from cli.command import run_command, write_small

from sim.run import simulate
from sim.step.work import StepWork
from workloads.errors import InputError
from workloads.workload import load_workload

RUN_FILES = ("actions.csv", "run.json", "steps.csv")
PRUNING = "pruning: {rate: 0.9, fifo_depth: 2, threshold: fifo, warmup_batches: 2}\n"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder for temporary files, which each test expects to be empty at its end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    ("name", "options", "warned"),
    [
        ("lenet5", ("--arch", "sparsetrain"), False),
        ("lenet5", ("--arch", "ideal", "--jobs", "2"), False),
        (
            "lenet5",
            ("--arch", "sparsetrain", "--baseline", "natural,pruning@0.9", "--no-verify", "--weights", "random"),
            True,
        ),
        ("resnet20", ("--arch", "ideal", "--baseline", "none", "--batch", "1"), False),
    ],
)
def test_a_tiny_limit_changes_no_byte_of_the_results(
    tmp_path: Path, temporary: Path, name: str, options: tuple[str, ...], warned: bool
) -> None:
    for folder, limit in (("free", ()), ("limited", ("--memory-limit", "4KiB"))):
        outcome = run_command(tmp_path, "simulate", name, *options, *limit, "--out", folder)
        # The one line that a baseline with a warm-up of its own brings.
        assert (outcome.exit_code, outcome.stderr.count("\n")) == (0, int(warned))
    for file in RUN_FILES:
        assert (tmp_path / "free" / file).read_bytes() == (tmp_path / "limited" / file).read_bytes(), file
    assert list(temporary.iterdir()) == []


def test_warm_up_iterations_are_limited_too(tmp_path: Path, temporary: Path) -> None:
    shown = run_command(tmp_path, "show", "lenet5").stdout.replace("pruning: null\n", "")
    (tmp_path / "pruned.yaml").write_text(shown + PRUNING)
    free = simulate(tmp_path / "pruned.yaml", "ideal", baseline=None)
    limited = simulate(tmp_path / "pruned.yaml", "ideal", baseline=None, memory_limit=1000)
    assert limited.steps == free.steps
    assert limited.record == free.record
    assert list(temporary.iterdir()) == []


def test_a_limit_that_is_no_size_ends_in_one_sentence(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--memory-limit", "2GB")
    assert (outcome.exit_code, outcome.stdout, outcome.files) == (2, "", ("small.yaml",))
    assert outcome.stderr == (
        "sparsetrain: the memory limit must be a whole number of bytes, or one with the unit KiB, MiB, GiB or TiB, "
        "such as 512MiB, got '2GB'\n"
    )


def test_a_limit_beside_work_that_keeps_operands_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        simulate(load_workload("lenet5"), "ideal", memory_limit="1GiB", work=StepWork())
    assert str(caught.value) == "a memory limit was given beside work that keeps its operands; give one of the two"
