"""Models and calls that cannot be recorded, each with the one sentence that it must be answered with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class RefusedModel:
    """What capture is given, and its answer; LINE in it stands for a line of this file."""

    name: str
    make: Callable[[], tuple[Any, Any, Any]]
    message: str


class Doubled(torch.autograd.Function):
    """A custom autograd function."""

    @staticmethod
    def forward(_: Any, values: Any) -> Any:
        return values * 2

    @staticmethod
    def backward(_: Any, gradient: Any) -> Any:
        return gradient * 2


class Body(nn.Module):
    """A convolution, something in its middle, and a fully connected layer."""

    def __init__(self, middle: Callable[[Any], Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.middle = middle
        self.fc = nn.Linear(4 * 4 * 4, 5)

    def forward(self, images: Any) -> Any:
        return self.fc(torch.flatten(self.middle(self.conv(images)), 1))


class Cut(nn.Module):
    """A ReLU that hands no gradient back."""

    def forward(self, values: Any) -> Any:
        return values.relu().detach()


class Attention(nn.Module):
    """A torch module of several heads on the rows of the first channel."""

    def __init__(self, make: dict[str, Any], forward: dict[str, Any]) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(4, 2, batch_first=True, **make)
        self.given = forward

    def call(self, rows: Any) -> Any:
        return self.attn(rows, rows, rows, need_weights=False, **self.given)[0]

    def forward(self, values: Any) -> Any:
        return self.call(values[:, 0]).unsqueeze(1) + values


MASKED = "an attention with a mask, or with groups of heads, is no layer"


def read_value(values: Any) -> Any:
    return values if values.sum() > 0 else values.relu()


def read_item(values: Any) -> Any:
    return values.relu() if int(values.argmax()) >= 0 else values


def call_custom(values: Any) -> Any:
    return Doubled.apply(values)


def call_unknown(values: Any) -> Any:
    return functional.elu(values)


def call_two_unknown(values: Any) -> Any:
    return functional.softplus(functional.elu(values))


def add_number(values: Any) -> Any:
    return values + 1


def multiply_number(values: Any) -> Any:
    return values * 0.5


def divide(values: Any) -> Any:
    return values / 2


def log_softmax(values: Any) -> Any:
    return functional.log_softmax(values, dim=1)


def cut_gradient(values: Any) -> Any:
    return values.detach() + values


def run_without_gradient(values: Any) -> Any:
    with torch.no_grad():
        hidden = values.relu()
    return hidden + values


def add_constant(values: Any) -> Any:
    return values + torch.ones(2, 4, 4, 4)


def index_list(values: Any) -> Any:
    return values[:, [0, 1, 2, 3]]


def move_batch(values: Any) -> Any:
    return values.transpose(0, 1).relu().transpose(0, 1)


def join_batch(values: Any) -> Any:
    return values.reshape(1, 2, 4, 4, 4).reshape(2, 4, 4, 4)


def clamp_wide(values: Any) -> Any:
    return values.clamp(-1, 1)


def mean_channels(values: Any) -> Any:
    return values.mean(1, keepdim=True).expand(-1, 4, -1, -1)


def change_shared(values: Any) -> Any:
    flat = values.view(2, -1)
    flat.relu_()
    return values


def fail(_: Any) -> Any:
    raise RuntimeError("no such thing")


def make_images() -> Any:
    return torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


def sum_up(scores: Any) -> Any:
    return functional.cross_entropy(scores, torch.tensor([0, 1]))


def middle(made: Callable[[Any], Any]) -> Callable[[], tuple[Any, Any, Any]]:
    """Make a model with this in its middle."""
    return lambda: (Body(made), make_images(), sum_up)


def whole(model: Any = None, images: Any = None, loss: Any = sum_up) -> Callable[[], tuple[Any, Any, Any]]:
    """Make a sound model, but for what is given."""
    return lambda: (
        Body(torch.relu) if model is None else model(), make_images() if images is None else images, loss,
    )  # fmt: skip


def freeze_middle() -> nn.Module:
    return Body(Cut())


def freeze_all() -> nn.Module:
    return Body(torch.relu).requires_grad_(False)


def overflow() -> nn.Module:
    model = Body(torch.relu)
    model.conv.weight.data *= 1e30
    model.fc.weight.data *= 1e30
    return model


def find_line(function: Any, text: str) -> int:
    """Find the number of a function's line that holds a text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


def at(function: Any, text: str, reason: str, module: str = "the model itself") -> str:
    """Write the sentence of one fault within a model's middle."""
    return f"Body cannot be recorded: {module} (refused_models.py, line {find_line(function, text)}): {reason}"


def both(first: str, second: str) -> str:
    """Write the sentence of two faults as that of one each."""
    start, _, fault = first.partition(": ")
    return f"{start}, for 2 reasons: {fault}; {second.partition(': ')[2]}"


READS = "a tensor's values are read ({}); a graph that depends on data is none that can be recorded"
CUSTOM = f"the custom autograd function Doubled (refused_models.py, line {find_line(Doubled, '@static')}) is no layer"
FORWARD = "self.fc("

REFUSED = [
    RefusedModel("a branch on a value", middle(read_value), at(read_value, "if values", READS.format("__bool__"))),
    RefusedModel("a value as a number", middle(read_item), at(read_item, "int(", READS.format("__int__"))),
    RefusedModel("a custom autograd function", middle(call_custom), at(Doubled, "* 2", CUSTOM)),
    RefusedModel("an unknown function", middle(call_unknown),
                 at(call_unknown, "elu", "torch's elu is no layer that is known")),
    RefusedModel("an unknown module", middle(nn.ELU()),
                 at(Body, FORWARD, "torch's elu is no layer that is known", "'middle'")),
    RefusedModel("two unknown functions", middle(call_two_unknown), both(
        at(call_two_unknown, ".elu", "torch's elu is no layer that is known"),
        at(call_two_unknown, ".elu", "torch's softplus is no layer that is known"))),
    RefusedModel("a number added", middle(add_number), at(add_number, "+", "a sum with the number 1 is no layer")),
    RefusedModel("a number multiplied", middle(multiply_number),
                 at(multiply_number, "*", "a product with the number 0.5 is no layer")),
    RefusedModel("a division", middle(divide), at(divide, "/", "a division is no layer")),
    RefusedModel("a detached tensor", middle(cut_gradient), at(cut_gradient, "detach", "the gradient is cut here")),
    RefusedModel("a part without gradients", middle(run_without_gradient),
                 at(run_without_gradient, "relu", "the gradient is cut here")),
    RefusedModel("a constant tensor", middle(add_constant),
                 at(add_constant, "ones", "it reads a tensor that comes from no layer")),
    RefusedModel("a list as an index", middle(index_list),
                 at(index_list, "[0", "a selection by a list, a tensor or a new axis is no layer")),
    RefusedModel("the batch moved", middle(move_batch), at(
        move_batch, ".transpose", "the axes are put into the order [1, 0, 2, 3], which moves the batch")),
    RefusedModel("the batch divided", middle(join_batch), both(
        at(join_batch, ".reshape", "the shape (2, 4, 4, 4) becomes (1, 2, 4, 4, 4), which changes the batch"),
        at(join_batch, ".reshape", "the shape (1, 2, 4, 4, 4) becomes (2, 4, 4, 4), which changes the batch"))),
    RefusedModel("another limitation", middle(clamp_wide),
                 at(clamp_wide, ".clamp", "a limitation to -1..1 is no layer; 0..6 and 0.. are")),
    RefusedModel("a mean over channels", middle(mean_channels), both(
        at(mean_channels, ".mean", "a mean over the axes [1] of a tensor of 4 axes is no layer"),
        at(mean_channels, ".mean", "torch's expand is no layer that is known"))),
    RefusedModel("a tensor changed through another", middle(change_shared), at(
        Body, FORWARD, "the output of 'conv' was changed in place through a tensor that shares it")),
    RefusedModel("a model that fails", middle(fail),
                 f"Body: the model fails (refused_models.py, line {find_line(fail, 'raise')}): RuntimeError: no such "
                 "thing"),
    RefusedModel("evaluation", whole(lambda: nn.Sequential(Body(nn.BatchNorm2d(4))).eval()),
                 f"Sequential cannot be recorded: '0.middle' (refused_models.py, line {find_line(Body, FORWARD)}): "
                 "batch norm takes stored statistics here, as in evaluation; call model.train() first"),
    *(
        RefusedModel(f"an attention with {words}", middle(Attention(make, forward)),
                     at(Attention, "return self.attn(", reason, "'middle.attn'"))
        for words, make, forward, reason in (
            ("a mask", {}, {"attn_mask": torch.zeros(4, 4)}, MASKED),
            ("padded keys", {}, {"key_padding_mask": torch.zeros(2, 4, dtype=torch.bool)}, MASKED),
            ("a key of its own", {"add_bias_kv": True}, {}, "an attention that adds keys and values of its own is no "
             "layer"),
            ("a key of zeros", {"add_zero_attn": True}, {}, "an attention that adds keys and values of its own is no "
             "layer"),
        )
    ),
    RefusedModel("a layer before frozen ones", whole(freeze_middle), at(
        Cut, ".detach", "the gradient is cut here", "'middle'")),
    RefusedModel("nothing trained", whole(freeze_all),
                 "Body has no parameter that is trained, so that there is no iteration to record"),
    RefusedModel("no model", whole(lambda: "Body"), "capture needs a torch.nn.Module, got str"),
    RefusedModel("images as a list", whole(images=[1.0]), "Body: images must be a torch.Tensor, got list"),
    RefusedModel("images of five axes", whole(images=torch.ones(1, 2, 3, 4, 4)),
                 "Body: images must have the shape (N, C, H, W), (N, C, L) or (N, F), got (1, 2, 3, 4, 4)"),
    RefusedModel("no images", whole(images=torch.ones(0, 3, 4, 4)),
                 "Body: images must have the shape (N, C, H, W), (N, C, L) or (N, F), got (0, 3, 4, 4)"),
    RefusedModel("images of integers", whole(images=torch.ones(2, 3, 4, 4, dtype=torch.int64)),
                 "Body: images must be floats, got torch.int64"),
    RefusedModel("no loss", whole(loss=3), "Body: the loss must be a callable of what the model gives out, got int"),
    RefusedModel("a part of a loss within the model", middle(log_softmax), at(
        log_softmax, "return", "log_softmax is known only as a part of a loss")),
    RefusedModel("a compiled model", whole(lambda: torch.compile(Body(torch.relu))),
                 "OptimizedModule is compiled; capture needs the model as it was before"),
    RefusedModel("a loss of several numbers", whole(loss=lambda scores: scores),
                 "Body: the loss must give a tensor of one number that has a gradient, got a tensor of shape (2, 5)"),
    RefusedModel("a loss without a gradient", whole(loss=lambda scores: float(scores.sum())),
                 "Body: the loss must give a tensor of one number that has a gradient, got float"),
    RefusedModel("a loss of something else", whole(loss=lambda _: torch.ones((), requires_grad=True) * 2),
                 "Body: the loss does not depend on what the model makes of its images"),
    RefusedModel("numbers that overflow", whole(overflow), "Body: the gradient of 'conv' is not finite"),
]  # fmt: skip
