"""Frozen weights have no GTW, layers before the first trained one forward alone, and shared weights are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from capture.models import SmallCnn, make_batch, make_loss  # noqa: E402
from torch import nn  # noqa: E402

from sim import simulate  # noqa: E402
from workloads.capture import CapturedRecording, capture  # noqa: E402
from workloads.opening import open_operands  # noqa: E402
from workloads.shapes import Step  # noqa: E402
from workloads.workload import load_workload  # noqa: E402

pytestmark = pytest.mark.peers

ALL = tuple(Step)


def record(model: nn.Module, layers: str = "*") -> CapturedRecording:
    images, labels = make_batch(2, 16)
    return capture(model.double(), images, make_loss(labels), layers=layers)


def list_steps(recording: CapturedRecording) -> dict[str, tuple[Step, ...]]:
    return {operands.layer: operands.steps for operands in open_operands(recording.workload).layers}


def test_a_frozen_layer_behind_trained_ones_has_no_gtw(tmp_path: Path) -> None:
    model = SmallCnn()
    model.fc1.weight.requires_grad_(False)
    recording = record(model)
    assert recording.form["operands"] == {"first_layer_gta": False, "without_gtw": ["fc1"]}
    expected = {"features.0": (Step.FORWARD, Step.GTW), "features.3": ALL, "fc1": (Step.FORWARD, Step.GTA), "fc2": ALL}
    assert list_steps(recording) == expected
    result = simulate(recording, baseline=None)
    assert result.is_correct
    assert {row.step for row in result.steps if row.layer == "fc1"} == {"forward", "gta"}
    recording.save(tmp_path / "net.yaml")
    assert len(simulate(load_workload(tmp_path / "net.yaml"), baseline=None).steps) == len(result.steps)


def test_layers_before_the_first_trained_one_have_forward_alone() -> None:
    model = SmallCnn()
    model.features.requires_grad_(False)
    recording = record(model)
    assert recording.form["operands"] == {
        "first_layer_gta": False, "without_gta": ["features.3", "fc1"], "without_gtw": ["features.0", "features.3"],
    }  # fmt: skip
    steps = list_steps(recording)
    assert steps["features.0"] == steps["features.3"] == (Step.FORWARD,)
    assert (steps["fc1"], steps["fc2"]) == ((Step.FORWARD, Step.GTW), ALL)
    assert not np.any(recording.operands[0].grad_output)
    assert recording.notices == (
        "no gradient comes to features.5, features.2, whose backward passes are counted all the same",
    )
    assert simulate(recording, baseline=None).is_correct


def test_a_frozen_part_is_recorded_with_the_steps_that_it_had() -> None:
    model = SmallCnn()
    model.features.requires_grad_(False)
    assert list_steps(record(model, "features.3")) == {"features.3": (Step.FORWARD,)}
    model.requires_grad_(True)
    model.fc1.requires_grad_(False)
    recording = record(model, "fc*")
    assert recording.form["operands"] == {"without_gtw": ["fc1"]}
    assert list_steps(recording) == {"fc1": (Step.FORWARD, Step.GTA), "fc2": ALL}


class Shared(nn.Module):
    """A convolution that runs twice, and a classifier that reads what it is multiplied with."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 64, 10)

    def forward(self, images: Any) -> Any:
        return self.fc(self.again(self.again(self.stem(images)).relu()).flatten(1))


@pytest.mark.parametrize("layers", ["*", "again*"])
def test_layers_of_one_weight_are_told_and_have_a_gtw_each(layers: str) -> None:
    recording = record(Shared(), layers)
    told = (
        "again, again-2 share one weight: each has a GTW of its own here, and the sum of what they give is not counted"
    )
    assert [notice for notice in recording.notices if "share" in notice] == [told]
    held = {one.layer: one for one in recording.operands}
    np.testing.assert_array_equal(held["again"].weight, held["again-2"].weight)
    assert not np.array_equal(held["again"].grad_output, held["again-2"].grad_output)
    assert Step.GTW in held["again"].steps
    assert Step.GTW in held["again-2"].steps
