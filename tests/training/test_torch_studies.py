"""Studies whose host is torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers import import_peer
from small_trainings import make_plan, write_training

from sim import train
from workloads.errors import InputError
from workloads.training.hosts.table import load_host
from workloads.training.loop import Training, TrainingProgress

pytestmark = pytest.mark.peers
torch = import_peer("torch")


def test_trainings_in_two_processes_leave_the_bytes_of_trainings_in_one(tmp_path: Path) -> None:
    workload = write_training(tmp_path)
    for name, jobs in (("one", 1), ("two", 2)):
        train(workload, out=tmp_path / name, simulate=False, prune=[0, 0.5], host="torch", jobs=jobs)
    for table in ("epochs.csv", "tensors.csv", "sites.csv", "table.csv"):
        assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "two" / table).read_bytes(), table


def test_what_torch_and_the_reference_train_differs_by_roundings(tmp_path: Path) -> None:
    workload = write_training(tmp_path)
    expected, found = (
        train(workload, out=tmp_path / host, simulate=False, prune=[0], host=host) for host in ("numpy", "torch")
    )
    assert list(found.epochs["loss"]) == pytest.approx(list(expected.epochs["loss"]), rel=1e-4)
    assert found.record["host"] == "torch"


def test_a_training_goes_on_from_its_checkpoint_to_the_same_bytes(tmp_path: Path) -> None:
    plan, host = make_plan(tmp_path, rate=0.5), load_host("torch")

    def stop(progress: TrainingProgress) -> None:
        if progress.record is not None:
            raise KeyboardInterrupt

    Training(plan, host, tmp_path / "whole.npz").run()
    with pytest.raises(KeyboardInterrupt):
        Training(plan, host, tmp_path / "parts.npz").run(stop)
    Training(plan, host, tmp_path / "parts.npz").run()
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_device_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--host torch:cuda:99: torch finds no such device"):
        train(write_training(tmp_path), out=tmp_path / "out", simulate=False, host="torch:cuda:99")
    assert not (tmp_path / "out").exists()
