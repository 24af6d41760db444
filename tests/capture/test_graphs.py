"""What is seen of a model: masks, sums, shared weights, number formats, losses, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from dataflows.storage.written import finish_gradient  # noqa: E402
from sim import simulate  # noqa: E402
from workloads.capture import CapturedRecording, capture  # noqa: E402
from workloads.errors import InputError  # noqa: E402
from workloads.opening import open_operands  # noqa: E402
from workloads.operands import Operands  # noqa: E402
from workloads.reference import run_gta  # noqa: E402

pytestmark = pytest.mark.peers

BATCH, CLASSES = 2, 3
LABELS = torch.tensor([0, 2])
IMAGES = torch.randn(BATCH, 2, 8, 8, generator=torch.Generator().manual_seed(3))


class Written(nn.Module):
    """Two convolutions and a fully connected layer, put together by a function."""

    def __init__(self, forward: Callable[[Any, Any], Any], features: int = 4 * 4 * 4) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(features, CLASSES)
        self.written = forward

    def forward(self, images: Any) -> Any:
        return self.written(self, images)


def record(forward: Callable[[Any, Any], Any], features: int = 4 * 4 * 4, loss: Any = None, images: Any = IMAGES,
           ) -> CapturedRecording:  # fmt: skip
    made = loss or (lambda scores: functional.cross_entropy(scores, LABELS))
    return capture(Written(forward, features), images, made)


def list_layers(recording: CapturedRecording) -> dict[str, Operands]:
    return {operands.layer: operands for operands in open_operands(recording.workload).layers}


def list_kinds(recording: CapturedRecording) -> list[str]:
    return [layer["type"] for layer in recording.form["layers"]]


def read_shares(recording: CapturedRecording) -> dict[str, list[str]]:
    return {layer["name"]: layer["inputs"] for layer in recording.form["layers"]}


RELUS: dict[str, Callable[[Any], Any]] = {
    "functional": functional.relu,
    "in place": lambda values: functional.relu(values, inplace=True),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": lambda values: values.relu(),
    "method in place": lambda values: values.relu_(),
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "limitation": lambda values: values.clamp(min=0),
    "threshold": nn.Threshold(0.0, 0.0),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_every_way_to_write_a_relu_is_one(relu: Callable[[Any], Any]) -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(model.conv2(relu(model.conv1(images))), 2).flatten(1))

    recording = record(forward)
    assert list_kinds(recording)[:3] == ["conv2d", "relu", "conv2d"]
    layer = list_layers(recording)["conv2"]
    np.testing.assert_array_equal(layer.mask, layer.input != 0)
    assert 0 < layer.mask.mean() < 1
    assert simulate(recording, baseline=None).is_correct


def test_the_mask_of_a_relu_goes_through_pooling_flatten_and_dropout() -> None:
    def forward(model: Any, images: Any) -> Any:
        hidden = functional.avg_pool2d(functional.max_pool2d(model.conv1(images).relu(), 2), 2, stride=1, padding=1)
        return model.fc(functional.dropout(torch.flatten(hidden, 1), 0.5))

    recording = record(forward, 4 * 5 * 5)
    assert list_kinds(recording)[1:6] == ["relu", "max_pool", "avg_pool", "flatten", "dropout"]
    layer = list_layers(recording)["fc"]
    np.testing.assert_array_equal(layer.mask, layer.input != 0)
    # Half is dropped, of what the ReLU left.
    assert 0.2 < layer.mask.mean() < 0.6
    assert simulate(recording, baseline=None).is_correct


def test_dropout_that_does_nothing_and_copies_are_no_layers() -> None:
    def forward(model: Any, images: Any) -> Any:
        hidden = functional.dropout(model.conv1(images).contiguous().clone(), 0.5, training=False)
        return model.fc(functional.max_pool2d(nn.Identity()(hidden), 2).view(BATCH, -1))

    assert list_kinds(record(forward)) == ["conv2d", "max_pool", "flatten", "linear", "softmax_cross_entropy"]


def test_gradients_of_branches_are_those_that_autograd_hands_back() -> None:
    def forward(model: Any, images: Any) -> Any:
        first = model.conv1(images).relu()
        kept.append(first)
        second = model.conv2(first)
        both = second + first
        both.register_hook(lambda gradient: handed.append(gradient.clone()))
        return model.fc(functional.max_pool2d(both, 2).flatten(1))

    kept: list[Any] = []
    handed: list[Any] = []
    recording = record(forward)
    layer = list_layers(recording)["conv2"]
    assert recording.workload.network.summed_gradients("conv2") == ("add",)
    np.testing.assert_array_equal(layer.summed[0], handed[0].numpy())
    np.testing.assert_array_equal(layer.grad_output, handed[0].numpy())
    assert simulate(recording, baseline=None).is_correct


def test_three_branches_hand_on_the_sum_so_far() -> None:
    def forward(model: Any, images: Any) -> Any:
        first = model.conv1(images).relu()
        pooled = functional.max_pool2d(first, 3, stride=1, padding=1)
        return model.fc(functional.max_pool2d(model.conv2(first) + first + pooled, 2).flatten(1))

    recording = record(forward)
    network = recording.workload.network
    layers = list_layers(recording)
    assert {name: len(layer.summed) for name, layer in layers.items()} == {
        name: len(network.summed_gradients(name)) for name in layers
    }
    assert simulate(recording, baseline=None).is_correct


def test_each_of_three_branches_is_counted_once_in_the_sums_of_the_others() -> None:
    def forward(model: Any, images: Any) -> Any:
        first = model.conv1(images).relu()
        branches = [model.conv2(first), functional.conv2d(first, model.one), functional.conv2d(first, model.two)]
        return model.fc(functional.max_pool2d(torch.cat(branches, 1), 2).flatten(1))

    model = Written(forward, 3 * 64)
    model.one, model.two = (nn.Parameter(torch.randn(4, 4, 1, 1) / number) for number in (2, 3))
    recording = capture(model, IMAGES, lambda scores: functional.cross_entropy(scores, LABELS))
    first, *branches = list(list_layers(recording).values())[:4]
    assert [len(layer.summed) for layer in branches] == [1, 1, 0]
    # The branch that ran first is the last to hand back: with its sum the gradient is whole.
    whole = finish_gradient(run_gta(branches[0]), branches[0])
    np.testing.assert_allclose(whole, first.grad_output, rtol=1e-5, atol=1e-7)


def test_a_module_that_is_called_twice_is_two_layers_of_the_same_weights() -> None:
    def forward(model: Any, images: Any) -> Any:
        hidden = model.conv2(model.conv2(model.conv1(images).relu()).relu())
        return model.fc(functional.max_pool2d(hidden, 2).flatten(1))

    recording = record(forward)
    layers = list_layers(recording)
    assert list(layers) == ["conv1", "conv2", "conv2-2", "fc"]
    np.testing.assert_array_equal(layers["conv2"].weight, layers["conv2-2"].weight)
    assert not np.array_equal(layers["conv2"].grad_output, layers["conv2-2"].grad_output)
    assert simulate(recording, baseline=None).is_correct


def test_batch_norm_in_training_mode_is_a_layer() -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(model.bn(model.conv1(images)).relu(), 2).flatten(1))

    recording = record(forward)
    assert recording.form["layers"][1] == {
        "name": "bn", "type": "batch_norm", "inputs": ["conv1"], "epsilon": 1e-5
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_recorded_as_it_was_multiplied(dtype: Any) -> None:
    def forward(model: Any, images: Any) -> Any:
        with torch.autocast("cpu", dtype):
            first = model.conv1(images).relu()
            return model.fc(functional.max_pool2d(model.conv2(first) + first, 2).flatten(1)).float()

    recording = record(forward)
    layers = list_layers(recording)
    for layer in layers.values():
        for values in (layer.input, layer.weight, layer.grad_output, *layer.summed):
            narrow = torch.from_numpy(values).to(dtype).float().numpy()
            np.testing.assert_array_equal(values, narrow)
    np.testing.assert_array_equal(layers["conv1"].input, IMAGES.to(dtype).float().numpy())
    assert simulate(recording, baseline=None).is_correct


@pytest.mark.parametrize("is_scaled", [False, True])
def test_a_loss_may_be_scaled_as_a_gradient_scaler_does(is_scaled: bool) -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(model.conv1(images), 2).flatten(1))

    factor = torch.tensor(4.0) if is_scaled else 1.0
    recording = record(forward, loss=lambda scores: functional.cross_entropy(scores, LABELS) * factor)
    plain = record(forward)
    assert list_kinds(recording)[-1] == "softmax_cross_entropy"
    for ours, theirs in zip(recording.operands, plain.operands, strict=True):
        np.testing.assert_array_equal(ours.grad_output, theirs.grad_output * float(factor))


def test_a_loss_in_two_halves_is_one() -> None:
    def forward(model: Any, images: Any) -> Any:
        scores = model.fc(functional.max_pool2d(model.conv1(images), 2).flatten(1))
        return functional.log_softmax(scores, dim=1)

    recording = record(forward, loss=lambda scores: functional.nll_loss(scores, LABELS))
    assert list_kinds(recording) == ["conv2d", "max_pool", "flatten", "linear", "softmax_cross_entropy"]
    assert recording.notices == ()


def test_a_loss_that_is_none_leaves_the_graph_without_one() -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(model.conv1(images), 2).flatten(1))

    recording = record(forward, loss=lambda scores: scores.square().mean() + 1.0)
    assert list_kinds(recording) == ["conv2d", "max_pool", "flatten", "linear"]
    assert recording.notices == ("the loss is none that is known; its passes are left out",)
    assert simulate(recording, baseline=None).is_correct


def test_a_loss_with_a_trained_weight_is_none_that_is_known() -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(model.conv1(images), 2).flatten(1))

    trained = torch.tensor(0.5, requires_grad=True)
    recording = record(forward, loss=lambda scores: functional.cross_entropy(scores, LABELS) * trained)
    assert list_kinds(recording) == ["conv2d", "max_pool", "flatten", "linear"]
    assert recording.notices == ("the loss is none that is known; its passes are left out",)


def test_what_the_loss_does_not_read_is_left_out() -> None:
    def forward(model: Any, images: Any) -> Any:
        hidden = model.conv1(images)
        model.last_mean = torch.sigmoid(hidden).mean()
        return model.fc(functional.max_pool2d(hidden, 2).flatten(1)), model.conv2(hidden)

    recording = record(forward, loss=lambda outputs: functional.cross_entropy(outputs[0], LABELS))
    assert list(list_layers(recording)) == ["conv1", "fc"]


def test_images_that_need_a_gradient_have_a_gta() -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(model.conv1(images), 2).flatten(1))

    plain, needed = record(forward), record(forward, images=IMAGES.clone().requires_grad_())
    assert [len(list_layers(one)["conv1"].steps) for one in (plain, needed)] == [2, 3]
    assert [one.form["operands"]["first_layer_gta"] for one in (plain, needed)] == [False, True]


def test_features_are_images_of_one_position() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, CLASSES))
    recording = capture(model, torch.randn(BATCH, 6), lambda scores: functional.cross_entropy(scores, LABELS))
    assert recording.form["input"] == {"channels": 6, "height": 1, "width": 1}
    assert read_shares(recording) == {
        "input.flatten": ["input"], "model.0": ["input.flatten"], "model.1": ["model.0"], "model.2": ["model.1"],
        "softmax_cross_entropy": ["model.2"],
    }  # fmt: skip
    assert simulate(recording, baseline=None).is_correct


def test_a_model_in_float64_is_rounded_once() -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.double().fc(functional.max_pool2d(model.conv1(images.double()), 2).flatten(1))

    layer = list_layers(record(forward))["conv1"]
    assert layer.input.dtype == layer.grad_output.dtype == np.float32


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_every_geometry_of_a_convolution_is_read() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(1, 2), dilation=(2, 3), bias=False),
        nn.Conv2d(4, 4, 3, padding="same", groups=2), nn.Conv2d(4, 4, 2, padding="same"),
        nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(), nn.Linear(8, CLASSES),
    )  # fmt: skip
    recording = capture(model, IMAGES, lambda scores: functional.cross_entropy(scores, LABELS))
    fields = [
        {name: layer[name] for name in ("kernel", "stride", "padding", "dilation", "groups", "bias")}
        for layer in recording.form["layers"][:3]
    ]
    assert fields == [
        {"kernel": [3, 2], "stride": [1, 2], "padding": [1, 2], "dilation": [2, 3], "groups": 1, "bias": False},
        {"kernel": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 2, "bias": True},
        {"kernel": 2, "stride": 1, "padding": [0, 0, 1, 1], "dilation": 1, "groups": 1, "bias": True},
    ]
    assert simulate(recording, baseline=None).is_correct


def test_zeros_around_what_a_convolution_reads_are_its_padding() -> None:
    def forward(model: Any, images: Any) -> Any:
        first = functional.pad(model.conv1(images).relu(), (1, 2, 0, 1))
        return model.fc(functional.max_pool2d(model.conv2(nn.ZeroPad2d(1)(first)), 2).flatten(1))

    recording = record(forward, 4 * 5 * 6)
    assert recording.form["layers"][2]["padding"] == [2, 3, 3, 4]
    layer = list_layers(recording)["conv2"]
    assert layer.input.shape == (BATCH, 4, 8, 8)
    np.testing.assert_array_equal(layer.mask, layer.input != 0)
    assert simulate(recording, baseline=None).is_correct


def test_zeros_around_what_another_layer_reads_are_refused() -> None:
    def forward(model: Any, images: Any) -> Any:
        return model.fc(functional.max_pool2d(functional.pad(model.conv1(images), (1, 1)), 2).flatten(1))

    with pytest.raises(InputError) as caught:
        record(forward, 4 * 4 * 5)
    assert str(caught.value).endswith("only a convolution may read what has zeros around it")


def test_what_is_made_of_images_before_any_layer_is_the_input() -> None:
    def forward(model: Any, images: Any) -> Any:
        normalised = (images[:, :, 1:-1, 1:-1] - torch.ones(2, 1, 1)) / 2
        return model.fc(functional.max_pool2d(model.conv1(normalised), 2).flatten(1))

    recording = record(forward, 4 * 3 * 3)
    assert list_kinds(recording) == ["conv2d", "max_pool", "flatten", "linear", "softmax_cross_entropy"]
    assert recording.form["input"] == {"channels": 2, "height": 6, "width": 6}
    made = ((IMAGES[:, :, 1:-1, 1:-1] - 1) / 2).numpy()
    np.testing.assert_array_equal(list_layers(recording)["conv1"].input, made)
    assert simulate(recording, baseline=None).is_correct


def test_images_and_what_is_made_of_them_are_not_one_input() -> None:
    def forward(model: Any, images: Any) -> Any:
        hidden = model.conv1(images / 2) + model.conv1(images)
        return model.fc(functional.max_pool2d(hidden, 2).flatten(1))

    with pytest.raises(InputError) as caught:
        record(forward)
    assert str(caught.value).endswith("a division is no layer")


def test_signals_are_images_of_one_row() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv1d(2, 4, 5, stride=2, padding=1, dilation=2), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(4, 4, 2, padding="same", groups=2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(4 * 6, CLASSES),
    ).double()  # fmt: skip
    signals = torch.randn(BATCH, 2, 56, dtype=torch.float64)
    recording = capture(model, signals, lambda scores: functional.cross_entropy(scores, LABELS))
    assert recording.form["input"] == {"channels": 2, "height": 1, "width": 56}
    assert list_kinds(recording)[:6] == ["conv1d", "batch_norm", "relu", "max_pool", "conv1d", "avg_pool"]
    assert recording.form["layers"][4]["padding"] == [0, 1]
    np.testing.assert_array_equal(list_layers(recording)["model.0"].input[:, :, 0], signals.float().numpy())
    assert simulate(recording, baseline=None).is_correct
    part = capture(model, signals, lambda scores: functional.cross_entropy(scores, LABELS), layers="model.*")
    assert simulate(part, baseline=None).is_correct
