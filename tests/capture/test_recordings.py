"""A recording of a torch model holds autograd's own values, and takes the cycles of the host's own iteration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from peers import import_peer

torch = import_peer("torch")

from capture.comparison import LayerWatch, as_float32, list_parameter_gradients, list_parameters  # noqa: E402
from capture.models import make_batch, make_loss, make_model  # noqa: E402

from sim import simulate  # noqa: E402
from sim.results.rows import make_frame  # noqa: E402
from workloads.capture import CapturedRecording, capture  # noqa: E402
from workloads.host import FLOAT64, Iteration, run_iteration  # noqa: E402

pytestmark = pytest.mark.peers

BATCH = 2
# Both compute in float64 and round to float32 once: a rounding apart, and what float64's own order of sums adds.
RELATIVE, ABSOLUTE = 2.0**-23, 1e-12
MODELS = ["small", "resnet18", "mobilenetv2", "dense"]


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A model, its recording, and the host's iteration on the same weights and images."""

    model: Any
    images: Any
    labels: Any
    recording: CapturedRecording
    host: Iteration


@pytest.fixture(scope="module", params=MODELS)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    model, size = make_model(request.param)
    images, labels = make_batch(BATCH, size)
    recording = capture(model, images, make_loss(labels))
    network = recording.workload.network
    host = run_iteration(
        network, list_parameters(model, network), images.numpy(), labels.numpy(), seed=1, options=FLOAT64
    )
    return Recorded(model, images, labels, recording, host)


def test_inputs_and_gradients_are_those_of_autograd_bit_for_bit(recorded: Recorded) -> None:
    watch = LayerWatch(recorded.model)
    make_loss(recorded.labels)(recorded.model(recorded.images)).backward()
    watch.leave()
    recorded.model.zero_grad()
    assert [operands.layer for operands in recorded.recording.operands] == list(watch.inputs)
    for operands in recorded.recording.operands:
        np.testing.assert_array_equal(operands.input, as_float32(watch.inputs[operands.layer]))
        np.testing.assert_array_equal(operands.grad_output, as_float32(watch.gradients[operands.layer]))


def test_weights_are_those_of_the_model(recorded: Recorded) -> None:
    parameters = dict(recorded.model.named_parameters())
    for operands in recorded.recording.operands:
        weight = parameters[f"{operands.layer}.weight"].detach().numpy()
        np.testing.assert_array_equal(operands.weight, as_float32(weight))


def test_operands_are_those_of_the_host(recorded: Recorded) -> None:
    for ours, theirs in zip(recorded.recording.operands, recorded.host.operands(), strict=True):
        assert (ours.layer, ours.shape, ours.steps) == (theirs.layer, theirs.shape, theirs.steps)
        pairs = [(ours.input, theirs.input), (ours.grad_output, theirs.grad_output)]
        pairs += zip(ours.summed, theirs.summed, strict=True)
        for mine, other in pairs:
            np.testing.assert_array_equal(mine != 0, other != 0)
            np.testing.assert_allclose(mine, other, rtol=RELATIVE, atol=ABSOLUTE)


def test_gradients_of_parameters_are_those_of_autograd(recorded: Recorded) -> None:
    recorded.model.zero_grad()
    make_loss(recorded.labels)(recorded.model(recorded.images)).backward()
    theirs = list_parameter_gradients(recorded.model, recorded.host.network)
    for name, gradient in recorded.host.grads.items():
        np.testing.assert_allclose(gradient, theirs[name], rtol=1e-9, atol=1e-12)
    recorded.model.zero_grad()


def test_cycles_are_those_of_the_hosts_own_iteration(recorded: Recorded) -> None:
    theirs = dataclasses.replace(recorded.recording, operands=tuple(recorded.host.operands()))
    runs = [simulate(one) for one in (recorded.recording, theirs)]
    assert all(run.is_correct for run in runs)
    pd.testing.assert_frame_equal(*(make_frame(run.steps) for run in runs))


def test_a_saved_recording_is_the_same_workload(recorded: Recorded, tmp_path: Path) -> None:
    recorded.recording.save(tmp_path / "net.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.npz", "net.yaml"]
    saved, kept = simulate(tmp_path / "net.yaml", baseline=None), simulate(recorded.recording, baseline=None)
    frames = [make_frame(run.steps).drop(columns="operands") for run in (saved, kept)]
    pd.testing.assert_frame_equal(*frames)


def test_the_model_is_left_as_it_was(recorded: Recorded) -> None:
    buffers = {name: buffer.clone() for name, buffer in recorded.model.named_buffers()}
    recorded.model.zero_grad()
    capture(recorded.model, recorded.images, make_loss(recorded.labels))
    assert all(parameter.grad is None for parameter in recorded.model.parameters())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in recorded.model.named_buffers())
