"""Runs that write one folder at the same time leave one of them whole, and a sentence for each of the others."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from cli.command import write_small

from sim import simulate
from sim.run import Progress
from workloads.errors import InputError

THREADS = 4
DEADLINE_S = 240


@pytest.mark.parametrize("is_there", [False, True], ids=["a new folder", "a folder with a run"])
def test_threads_that_write_one_folder_leave_one_run_whole(is_there: bool, tmp_path: Path) -> None:
    workload, folder = tmp_path / write_small(tmp_path), tmp_path / "run"
    expected = {}
    for seed in range(THREADS):
        simulate(workload, seed=seed, verify=False, out=tmp_path / f"alone-{seed}")
        expected[seed] = (tmp_path / f"alone-{seed}" / "steps.csv").read_text()
    if is_there:
        simulate(workload, seed=0, verify=False, out=folder)
    before = {path.name for path in tmp_path.iterdir()}
    all_done = threading.Barrier(THREADS, timeout=DEADLINE_S)
    sentences: list[str] = []
    written: list[int] = []

    def run(number: int) -> None:
        # Where a run is there already, only one of the same inputs may replace it.
        seed = 0 if is_there else number

        def wait_for_the_others(progress: Progress) -> None:
            if progress.done_macs == progress.total_macs:
                all_done.wait()

        try:
            simulate(workload, seed=seed, verify=False, out=folder, on_progress=wait_for_the_others)
            written.append(seed)
        except InputError as error:
            sentences.append(str(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    refusal = f"--out {folder}: another run was written there meanwhile; choose another directory"
    assert len(written) + len(sentences) == THREADS
    assert set(sentences) <= {refusal}
    if not is_there:
        assert len(written) == 1
    record = json.loads((folder / "run.json").read_text())
    seed = record["workload"]["operands"]["seed"]
    assert seed in written
    assert (folder / "steps.csv").read_text() == expected[seed]
    assert {path.name for path in tmp_path.iterdir()} == before | {"run"}
