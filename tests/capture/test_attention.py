"""Torch's module of several heads is recorded as the layers that it consists of, whichever axis its batch is."""

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
from workloads.host import FLOAT64, initial_parameters, run_iteration  # noqa: E402

pytestmark = pytest.mark.peers

FEATURES, HEADS, PATCH = 8, 2, 4
LABELS = torch.tensor([0, 2])
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def attend_to_itself(attn: Any, tokens: Any, _: Any) -> Any:
    return attn(tokens, tokens, tokens, need_weights=False)[0]


def attend_to_others(attn: Any, tokens: Any, others: Any) -> Any:
    return attn(tokens, others, others)[0]


class Tokens(nn.Module):
    """Two kinds of patches as tokens, an attention between them, and a classifier."""

    def __init__(self, attn: nn.MultiheadAttention, call: Callable[[Any, Any, Any], Any], others: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, FEATURES, PATCH, PATCH)
        self.second = nn.Conv2d(3, others, PATCH // 2, PATCH // 2)
        self.attn, self.call = attn, call
        self.fc = nn.Linear(FEATURES * 4, 3)
        self.double()

    def forward(self, images: Any) -> Any:
        pair = [conv(images).flatten(2) for conv in (self.first, self.second)]
        if self.attn.batch_first:
            tokens = self.call(self.attn, *(one.transpose(1, 2) for one in pair))
        else:
            tokens = self.call(self.attn, *(one.permute(2, 0, 1).contiguous() for one in pair)).transpose(0, 1)
        return self.fc(tokens.flatten(1))


CASES = {
    "self": (attend_to_itself, {}, ["attn.linear", "attn.linear-2"]),
    "without bias": (attend_to_itself, {"bias": False}, ["attn.linear", "attn.linear-2"]),
    "with dropout": (attend_to_itself, {"dropout": 0.2}, ["attn.linear", "attn.linear-2"]),
    "keys and values of one tensor": (attend_to_others, {}, ["attn.linear", "attn.linear-2", "attn.linear-3"]),
    "other sizes": (
        attend_to_others, {"kdim": 6, "vdim": 6}, ["attn.linear", "attn.linear-2", "attn.linear-3", "attn.linear-4"]
    ),
}  # fmt: skip


def make_tokens(case: str, *, batch_first: bool) -> Tokens:
    call, fields, _ = CASES[case]
    attn = nn.MultiheadAttention(FEATURES, HEADS, batch_first=batch_first, **fields)
    return Tokens(attn, call, fields.get("kdim", FEATURES))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_an_attention_is_its_projections_two_products_and_a_softmax(case: str, batch_first: bool) -> None:
    model = make_tokens(case, batch_first=batch_first)
    recording = capture(model, IMAGES, lambda scores: functional.cross_entropy(scores, LABELS))
    kinds = {layer["name"]: layer["type"] for layer in recording.form["layers"]}
    assert [name for name, kind in kinds.items() if kind == "linear" and name != "fc"] == CASES[case][2]
    products = [layer for layer in recording.form["layers"] if layer["type"] == "matmul"]
    assert [layer.get("scale", 1.0) for layer in products] == [0.5, 1.0]
    assert list(kinds.values()).count("softmax") == 1
    assert ("dropout" in kinds.values()) == (case == "with dropout")
    assert simulate(recording, "ideal", baseline=None).is_correct


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("case", [case for case in CASES if case != "with dropout"])
def test_the_host_computes_what_autograd_does(case: str, batch_first: bool) -> None:
    model = make_tokens(case, batch_first=batch_first)
    recording = capture(model, IMAGES, lambda scores: functional.cross_entropy(scores, LABELS))
    network = recording.workload.network
    held = {one.layer: one for one in recording.operands}
    parameters: dict[str, Any] = {}
    for name, value in initial_parameters(network, 1).items():
        layer, _, kind = name.rpartition("/")
        parameters[name] = getattr(held[layer], kind).astype(np.float64).reshape(value.shape)
    host = run_iteration(network, parameters, IMAGES.numpy(), LABELS.numpy(), seed=1, options=FLOAT64)
    for ours, theirs in zip(recording.operands, host.operands(), strict=True):
        assert (ours.layer, ours.shape, ours.steps) == (theirs.layer, theirs.shape, theirs.steps)
        pairs = [(ours.input, theirs.input), (ours.grad_output, theirs.grad_output)]
        pairs += [*zip(ours.summed, theirs.summed, strict=True)]
        for mine, other in [*pairs, *zip(ours.weight_summed, theirs.weight_summed, strict=True)]:
            # The host starts from weights that were rounded to float32.
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-7)


def test_three_tensors_are_projected_by_three_parts_of_the_packed_weight() -> None:
    attn = nn.MultiheadAttention(FEATURES, HEADS, batch_first=True)
    model = Tokens(attn, lambda one, tokens, _: one(tokens, tokens.tanh(), tokens.sigmoid())[0], FEATURES)
    recording = capture(model, IMAGES, lambda scores: functional.cross_entropy(scores, LABELS))
    held = {one.layer: one for one in recording.operands}
    parts = attn.in_proj_weight.detach().numpy().astype(np.float32).reshape(3, FEATURES, FEATURES)
    for name, part in zip(("attn.linear", "attn.linear-2", "attn.linear-3"), parts, strict=True):
        np.testing.assert_array_equal(held[name].weight, part)
    assert not recording.notices


def test_what_reads_the_weights_of_an_attention_is_refused_by_its_own_name() -> None:
    attn = nn.MultiheadAttention(FEATURES, HEADS, batch_first=True)

    def read_weights(one: Any, tokens: Any, _: Any) -> Any:
        output, weights = one(tokens, tokens, tokens)
        return output + weights @ tokens

    recording = Tokens(attn, read_weights, FEATURES)
    with pytest.raises(Exception, match=r"'attn' \(test_attention.py, line \d+\): a mean over the axes \[1\]"):
        capture(recording, IMAGES, lambda scores: functional.cross_entropy(scores, LABELS))
