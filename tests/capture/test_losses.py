"""Losses of torch, several of them weighted, and one at each pixel: the host computes what autograd does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from sim import simulate  # noqa: E402
from workloads.capture import capture  # noqa: E402
from workloads.host import FLOAT64, run_iteration  # noqa: E402
from workloads.losses import BatchTargets  # noqa: E402

pytestmark = pytest.mark.peers

BATCH, SIZE, CLASSES = 2, 8, 3
LABELS = torch.tensor([0, 2])


class Branched(nn.Module):
    """A classifier, and an auxiliary one behind its first layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.auxiliary = nn.Linear(4 * SIZE * SIZE, CLASSES)
        self.fc = nn.Linear(4 * SIZE * SIZE, CLASSES)
        self.double()

    def forward(self, images: Any) -> Any:
        hidden = self.conv1(images).relu()
        return self.fc(self.conv2(hidden).relu().flatten(1)), self.auxiliary(hidden.flatten(1))


def weigh(outputs: Any) -> Any:
    main = functional.cross_entropy(outputs[0], LABELS, label_smoothing=0.1)
    return main + 0.3 * functional.cross_entropy(outputs[1], LABELS)


def square(outputs: Any) -> Any:
    wanted = functional.one_hot(LABELS, CLASSES).double()
    return 2 * functional.mse_loss(outputs[0], wanted) + functional.mse_loss(outputs[1], wanted) / 2


def decide(outputs: Any) -> Any:
    wanted = functional.one_hot(LABELS, CLASSES).double()
    return functional.binary_cross_entropy_with_logits(outputs[0], wanted) + functional.mse_loss(outputs[1], wanted)


LOSSES: dict[str, tuple[Callable[[Any], Any], list[tuple[str, float]]]] = {
    "two cross entropies": (weigh, [("softmax_cross_entropy", 1.0), ("softmax_cross_entropy", 0.3)]),
    "two squared errors": (square, [("mean_squared_error", 2.0), ("mean_squared_error", 0.5)]),
    "two of different kinds": (decide, [("binary_cross_entropy", 1.0), ("mean_squared_error", 1.0)]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_host_hands_back_what_autograd_does(name: str) -> None:
    loss, kinds = LOSSES[name]
    model = Branched()
    images = torch.randn(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    recording = capture(model, images, loss)
    losses = [layer for layer in recording.form["layers"] if "entropy" in layer["type"] or "error" in layer["type"]]
    assert [(layer["type"], layer.get("weight", 1.0)) for layer in losses] == kinds
    own = {name.replace(".", "/"): values.detach().numpy() for name, values in model.named_parameters()}
    network = recording.workload.network
    host = run_iteration(network, own, images.numpy(), LABELS.numpy(), seed=1, options=FLOAT64)
    for ours, theirs in zip(recording.operands, host.operands(), strict=True):
        assert ours.layer == theirs.layer
        pairs = [(ours.grad_output, theirs.grad_output), *zip(ours.summed, theirs.summed, strict=True)]
        for mine, other in pairs:
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-12)
    assert simulate(recording, baseline=None).is_correct


def test_a_loss_at_each_pixel_is_one() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, CLASSES, 1)).double()
    images = torch.randn(BATCH, 3, SIZE, SIZE, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (BATCH, SIZE, SIZE))
    recording = capture(model, images, lambda scores: functional.cross_entropy(scores, labels))
    assert recording.form["layers"][-1]["type"] == "softmax_cross_entropy"
    own = {
        f"model.{name}".replace(".weight", "/weight").replace(".bias", "/bias"): values.detach().numpy()
        for name, values in model.named_parameters()
    }
    network = recording.workload.network
    host = run_iteration(
        network,
        own,
        images.numpy(),
        BatchTargets(LABELS.numpy(), {"softmax_cross_entropy": labels.numpy()}),
        seed=1,
        options=FLOAT64,
    )
    for ours, theirs in zip(recording.operands, host.operands(), strict=True):
        np.testing.assert_allclose(ours.grad_output, theirs.grad_output, rtol=1e-6, atol=1e-12)
