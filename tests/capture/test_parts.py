"""A part of a model is a list of its layers, whatever the rest of the model is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from capture.models import SmallCnn, make_batch, make_loss, make_model  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from sim import simulate  # noqa: E402
from workloads.capture import capture, prune_gradients  # noqa: E402
from workloads.errors import InputError  # noqa: E402
from workloads.opening import open_operands  # noqa: E402
from workloads.shapes import Step  # noqa: E402

pytestmark = pytest.mark.peers

BATCH = 2


def list_layers(recording: Any) -> dict[str, Any]:
    return {operands.layer: operands for operands in open_operands(recording.workload).layers}


@pytest.mark.parametrize(("name", "pattern"), [("small", "features.*"), ("resnet18", "layers.1.*"), ("small", "*fc*")])
def test_a_part_has_the_operands_of_the_whole(name: str, pattern: str) -> None:
    model, size = make_model(name)
    images, labels = make_batch(BATCH, size)
    whole = list_layers(capture(model, images, make_loss(labels)))
    part = list_layers(capture(model, images, make_loss(labels), layers=pattern))
    assert 0 < len(part) < len(whole)
    for layer, ours in part.items():
        theirs = whole[layer]
        assert (ours.shape, ours.steps) == (theirs.shape, theirs.steps)
        np.testing.assert_array_equal(ours.input, theirs.input)
        np.testing.assert_array_equal(ours.weight, theirs.weight)
        np.testing.assert_array_equal(ours.grad_output, theirs.grad_output)
        assert (ours.mask is None) == (theirs.mask is None)
        if ours.mask is not None:
            np.testing.assert_array_equal(ours.mask, theirs.mask)
        assert ours.relu_follows == theirs.relu_follows


def test_a_part_is_simulated_and_saved(tmp_path: Any) -> None:
    model, size = make_model("small")
    images, labels = make_batch(BATCH, size)
    recording = capture(model, images, make_loss(labels), layers="features.*")
    assert [(layer["name"], layer.get("input")) for layer in recording.form["layers"]] == [
        ("features.0", {"channels": 3, "height": 16, "width": 16}), ("features.1", None),
        ("features.3", {"channels": 6, "height": 8, "width": 8}), ("features.4", None),
    ]  # fmt: skip
    assert recording.form["operands"] == {"without_gta": ["features.0"]}
    recording.save(tmp_path / "part.yaml")
    for run in (simulate(recording), simulate(tmp_path / "part.yaml")):
        assert run.is_correct
        assert {(row.layer, row.step) for row in run.steps if row.layer.startswith("features")} == {
            ("features.0", "forward"), ("features.0", "gtw"),
            ("features.3", "forward"), ("features.3", "gta"), ("features.3", "gtw"),
        }  # fmt: skip


class Unknown(nn.Module):
    """Layers that are known, between others that are not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.fc = nn.Linear(4 * 12 * 12, 10)

    def forward(self, images: Any) -> Any:
        hidden = functional.elu(self.features(images * 2))
        return self.fc(hidden.flatten(1) if hidden.sum() > 0 else hidden.flatten(1) + 1)


def test_the_rest_of_the_model_need_not_be_known() -> None:
    images, labels = make_batch(BATCH, 16)
    model = Unknown().double()
    with pytest.raises(InputError):
        capture(model, images, make_loss(labels))
    recording = capture(model, images, make_loss(labels), layers="features.*")
    layers = list_layers(recording)
    assert [layer.steps for layer in layers.values()] == [(Step.FORWARD, Step.GTW), tuple(Step)]
    np.testing.assert_array_equal(layers["features.2"].mask, layers["features.2"].input != 0)
    assert simulate(recording).is_correct


def test_a_part_says_what_it_leaves_out() -> None:
    images, labels = make_batch(BATCH, 16)
    model = SmallCnn().double()
    prune_gradients(model, 0.9, threshold="own_batch")
    assert capture(model, images, make_loss(labels), layers="fc*").notices == (
        "passes, and gradients that are summed where branches meet, are left out of a part",
        "a part does not say how its gradients were pruned, so that the PPU prunes nothing",
    )


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    images, labels = make_batch(BATCH, 16)
    with pytest.raises(InputError) as caught:
        capture(SmallCnn().double(), images, make_loss(labels), layers="layers.*")
    assert str(caught.value) == (
        "SmallCnn: no layer matches 'layers.*'; the layers are features.0, features.3, fc1, fc2"
    )


def test_layers_that_the_loss_does_not_depend_on_are_refused() -> None:
    class Beside(SmallCnn):
        def forward(self, images: Any) -> Any:
            self.beside = self.fc2(torch.ones(BATCH, 20, dtype=torch.float64) * images.mean())
            return super().forward(images)

    images, labels = make_batch(BATCH, 16)
    with pytest.raises(InputError) as caught:
        capture(Beside().double(), images, make_loss(labels), layers="fc2")
    assert str(caught.value).endswith("the backward pass hands 'fc2' no gradient")
