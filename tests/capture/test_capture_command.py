"""`sparsetrain capture` writes what Python's capture gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from peers import import_peer

import_peer("torch")

from cli.command import run_command  # noqa: E402

from sim import simulate  # noqa: E402
from sim.results.rows import make_frame  # noqa: E402
from workloads.capture import capture  # noqa: E402
from workloads.capture.entry import make_subject  # noqa: E402

pytestmark = pytest.mark.peers

SOURCE = """\
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

def make():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    labels = torch.tensor([0, 2])
    return model, torch.randn(2, 1, 8, 8), lambda scores: functional.cross_entropy(scores, labels)

def make_unknown_loss():
    model, images, _ = make()
    return model, images, lambda scores: scores.square().mean()

def make_unknown():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ELU()), torch.randn(2, 1, 8, 8), lambda scores: scores.mean()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(SOURCE)
    return tmp_path


def test_a_recording_is_written_and_simulated(folder: Path) -> None:
    outcome = run_command(folder, "capture", "net.py:make", "-o", "small.yaml")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout == "small.yaml: 2 layers of Sequential recorded, tensors in small.npz\n"
    assert {"small.npz", "small.yaml"} <= set(outcome.files)
    runs = [simulate(folder / "small.yaml"), simulate(capture(*make_subject(f"{folder}/net.py:make")))]
    pd.testing.assert_frame_equal(*(make_frame(run.steps).drop(columns="operands") for run in runs))


def test_a_loss_that_is_none_is_told(folder: Path) -> None:
    outcome = run_command(folder, "capture", "net.py:make_unknown_loss", "-o", "small.yaml", "--name", "net")
    assert outcome.stdout == (
        "small.yaml: 2 layers of net recorded, tensors in small.npz\n"
        "note: the loss is none that is known; its passes are left out\n"
    )


def test_what_cannot_be_recorded_leaves_nothing(folder: Path) -> None:
    outcome = run_command(folder, "capture", "net.py:make_unknown", "-o", "small.yaml")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "", "sparsetrain: Sequential cannot be recorded: '1': torch's elu is no layer that is known\n"
    )  # fmt: skip
    assert not {"small.npz", "small.yaml"} & set(outcome.files)


def test_a_recording_is_a_yaml_file(folder: Path) -> None:
    outcome = run_command(folder, "capture", "net.py:make", "-o", "small.npz")
    assert (outcome.exit_code, outcome.stderr) == (
        2, "sparsetrain: small.npz: a recording is saved as a .yaml file with an .npz file beside it\n"
    )  # fmt: skip


def test_a_part_is_written_as_a_list_of_layers(folder: Path) -> None:
    outcome = run_command(folder, "capture", "net.py:make", "-o", "small.yaml", "--layers", "*3")
    assert outcome.stdout == (
        "small.yaml: 1 layer of Sequential recorded, tensors in small.npz\n"
        "note: passes, and gradients that are summed where branches meet, are left out of a part\n"
    )
    assert {row.step for row in simulate(folder / "small.yaml").steps} == {"forward", "gta", "gtw"}
