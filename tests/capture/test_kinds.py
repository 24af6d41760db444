"""Every layer kind that a torch module or function stands for: the host computes what autograd does."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from sim import simulate  # noqa: E402
from workloads.capture import capture  # noqa: E402
from workloads.host import FLOAT64, initial_parameters, run_iteration  # noqa: E402

pytestmark = pytest.mark.peers

BATCH, CHANNELS, SIZE, CLASSES = 2, 4, 6, 3
LABELS = torch.tensor([0, 2])


class Trained(nn.Module):
    """A trained tensor that is read beside what a layer gives out."""

    def __init__(self, join: Callable[[Any, Any], Any], *shape: int) -> None:
        super().__init__()
        self.trained = nn.Parameter(torch.linspace(-1, 1, prod(shape)).reshape(shape))
        self.join = join

    def forward(self, values: Any) -> Any:
        return self.join(values, self.trained)


MIDDLES: dict[str, list[Callable[[], Any]]] = {
    "relu6": [nn.ReLU6, lambda: nn.Hardtanh(0.0, 6.0), lambda: lambda values: values.clamp(0, 6)],
    "leaky_relu": [nn.LeakyReLU, lambda: nn.LeakyReLU(0.2, inplace=True)],
    "prelu": [nn.PReLU, lambda: nn.PReLU(CHANNELS)],
    "sigmoid": [nn.Sigmoid, lambda: torch.sigmoid],
    "tanh": [nn.Tanh, lambda: torch.tanh],
    "hard_swish": [nn.Hardswish],
    "hard_sigmoid": [nn.Hardsigmoid],
    "silu": [nn.SiLU],
    "gelu": [nn.GELU, lambda: nn.GELU("tanh")],
    "softmax": [lambda: nn.Softmax(dim=1), lambda: nn.Softmax(dim=-1)],
    "batch_norm": [lambda: nn.BatchNorm2d(CHANNELS)],
    "layer_norm": [lambda: nn.LayerNorm(SIZE), lambda: nn.LayerNorm([CHANNELS, SIZE, SIZE])],
    "group_norm": [lambda: nn.GroupNorm(2, CHANNELS)],
    "instance_norm": [lambda: nn.InstanceNorm2d(CHANNELS), lambda: nn.InstanceNorm2d(CHANNELS, affine=True)],
    "local_response_norm": [lambda: nn.LocalResponseNorm(3, alpha=0.1)],
    "max_pool": [lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), lambda: nn.AdaptiveMaxPool2d(3)],
    "avg_pool": [
        lambda: nn.AvgPool2d(3, 2, 1), lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda: nn.AdaptiveAvgPool2d(3),
    ],
    "global_avg_pool": [lambda: nn.AdaptiveAvgPool2d(1), lambda: lambda values: values.mean((2, 3), keepdim=True)],
    "pixel_shuffle": [lambda: nn.PixelShuffle(2)],
    "channel_shuffle": [lambda: lambda values: functional.channel_shuffle(values, 2)],
    "subtract": [lambda: lambda values: values.relu() - values.sigmoid()],
    "multiply": [
        lambda: lambda values: values.relu() * values.sigmoid(),
        lambda: lambda values: values * values.mean((2, 3), keepdim=True).sigmoid(),
        lambda: lambda values: values * values,
    ],
    "split": [
        lambda: lambda values: torch.cat(values.chunk(2, 1)[::-1], 1),
        lambda: lambda values: torch.split(values, [1, 3], 1)[1],
        lambda: lambda values: values[:, 1:3],
    ],
    "reshape": [lambda: lambda values: values.reshape(BATCH, 2 * CHANNELS, SIZE // 2, SIZE)],
    "transpose": [lambda: lambda values: values.transpose(1, 2).contiguous().permute(0, 2, 3, 1)],
    "add": [
        lambda: lambda values: values + values.relu(), lambda: lambda values: values + values,
        lambda: lambda values: values.relu() + values.mean((2, 3), keepdim=True),
        lambda: lambda values: values.mean((2, 3), keepdim=True).relu() + values,
    ],
    "parameter": [
        lambda: Trained(torch.add, CHANNELS, SIZE, SIZE), lambda: Trained(torch.mul, CHANNELS, 1, 1),
        lambda: Trained(torch.add, CHANNELS, 1, 1), lambda: Trained(torch.add, SIZE),
        lambda: Trained(torch.add, 1, CHANNELS, SIZE, SIZE),
        lambda: Trained(lambda values, trained: torch.cat([trained.expand(BATCH, -1, -1, -1), values], 1),
                        1, CHANNELS, SIZE, SIZE),
    ],
    "concat": [lambda: lambda values: torch.cat([values, values.relu()], 1)],
    "adaptive_avg_pool": [lambda: nn.AdaptiveAvgPool2d((4, 5))],
    "upsample": [
        lambda: nn.Upsample(scale_factor=2), lambda: nn.UpsamplingBilinear2d(scale_factor=2),
        lambda: nn.Upsample(size=(2 * SIZE, 3 * SIZE), mode="bilinear"),
        lambda: lambda values: functional.interpolate(values, scale_factor=(1, 2), mode="nearest"),
    ],
    "conv_transpose2d": [
        lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, 2, 1, output_padding=1, groups=2),
        lambda: nn.ConvTranspose2d(CHANNELS, 2, (3, 2), bias=False),
    ],
    "linear": [lambda: nn.Linear(SIZE, 5), lambda: Trained(torch.matmul, SIZE, 5)],
    "matmul": [
        lambda: lambda values: values.relu() @ values.sigmoid(),
        lambda: lambda values: torch.matmul(values.relu() * 0.25, values.mT) / 3,
        lambda: lambda values: values.transpose(2, 3) @ values.relu(),
        lambda: lambda values: (values.tanh() @ (values.relu() / 2).transpose(-1, -2)).mul_(0.5).softmax(-1) @ values,
        lambda: lambda values: torch.bmm(values.flatten(2), values.flatten(2).relu().transpose(1, 2)).unsqueeze(-1),
        lambda: lambda values: functional.scaled_dot_product_attention(values, values.relu(), values.tanh()),
        lambda: Trained(lambda values, trained: (trained @ values.flatten(2)).unsqueeze(-1), 3, CHANNELS),
    ],
}  # fmt: skip
CASES = [pytest.param(kind, make, id=f"{kind}-{number}")
         for kind, made in MIDDLES.items() for number, make in enumerate(made)]  # fmt: skip


class Between(nn.Module):
    """Something between two convolutions, in float64."""

    def __init__(self, middle: Any) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.conv1 = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.middle = middle
        self.conv2: nn.Module = nn.Identity()
        self.fc: nn.Module = nn.Identity()
        shape = middle(torch.zeros(BATCH, CHANNELS, SIZE, SIZE)).shape
        self.conv2 = nn.Conv2d(shape[1], 2, 1)
        self.fc = nn.Linear(2 * shape[2] * shape[3], CLASSES)
        self.double()

    def forward(self, images: Any) -> Any:
        return self.fc(self.conv2(self.middle(self.conv1(images))).flatten(1))


def make_images() -> Any:
    return 3 * torch.randn(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize(("kind", "make"), CASES)
def test_the_host_computes_what_autograd_does(kind: str, make: Callable[[], Any]) -> None:
    model, images = Between(make()), make_images()
    recording = capture(model, images, lambda scores: functional.cross_entropy(scores, LABELS))
    assert kind in [layer["type"] for layer in recording.form["layers"]]
    network = recording.workload.network
    own = {name.replace(".", "/"): values.detach().numpy() for name, values in model.named_parameters()}
    trained = own.get("middle/trained")
    if trained is not None and trained.ndim > 1:
        own["middle.linear/weight"] = trained.T
    parameters = {
        name: trained.reshape(value.shape) if name.endswith("/value") else own.get(name, value)
        for name, value in initial_parameters(network, 1).items()
    }
    host = run_iteration(network, parameters, images.numpy(), LABELS.numpy(), seed=1, options=FLOAT64)
    for ours, theirs in zip(recording.operands, host.operands(), strict=True):
        assert (ours.layer, ours.shape, ours.steps) == (theirs.layer, theirs.shape, theirs.steps)
        pairs = [(ours.input, theirs.input), (ours.weight, theirs.weight), (ours.grad_output, theirs.grad_output)]
        pairs += [*zip(ours.summed, theirs.summed, strict=True)]
        for mine, other in [*pairs, *zip(ours.weight_summed, theirs.weight_summed, strict=True)]:
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-9)
    assert simulate(recording, "ideal", baseline=None).is_correct
