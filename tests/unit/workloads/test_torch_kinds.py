"""Each layer kind in torch's form against its own numpy code, also where two pieces of a function meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers import import_peer
from pydantic import TypeAdapter

from workloads.kinds import KINDS, Layer, LayerBase
from workloads.kinds.execution import Place
from workloads.kinds.relu import Relu

pytestmark = pytest.mark.peers
torch = import_peer("torch")

LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
IMAGE = (2, 4, 6, 5)
SEED, ITERATION = 3, 4

# The fields of a layer, and the shapes of what it reads.
CASES: list[tuple[dict[str, Any], list[tuple[int, ...]]]] = [
    (
        {"type": "conv2d", "out_channels": 6, "kernel": [3, 2], "stride": [2, 1], "padding": [1, 1, 2, 0], "groups": 2},
        [IMAGE],
    ),
    ({"type": "conv2d", "out_channels": 3, "kernel": 3, "padding": "same", "stride": 2, "bias": False}, [IMAGE]),
    ({"type": "conv1d", "out_channels": 3, "kernel": 3, "padding": [2, 0], "dilation": 2}, [(2, 4, 1, 9)]),
    (
        {
            "type": "conv_transpose2d", "out_channels": 6, "kernel": 3, "stride": 2, "padding": [1, 0, 2, 1],
            "output_padding": 1, "groups": 2,
        },
        [IMAGE],
    ),
    ({"type": "linear", "out_features": 3}, [(2, 7)]),
    ({"type": "linear", "out_features": 3, "bias": False}, [(2, 5, 7)]),
    ({"type": "matmul", "inputs": ["a", "b"], "transpose_a": True, "scale": 0.5}, [(2, 3, 5, 4), (2, 3, 5, 6)]),
    ({"type": "matmul", "inputs": ["a", "b"], "transpose_b": True}, [(2, 5, 4), (2, 6, 4)]),
    ({"type": "relu"}, [IMAGE]),
    ({"type": "relu6"}, [IMAGE]),
    ({"type": "leaky_relu", "negative_slope": 0.2}, [IMAGE]),
    ({"type": "prelu", "per_channel": True}, [IMAGE]),
    ({"type": "prelu"}, [(2, 7)]),
    ({"type": "sigmoid"}, [IMAGE]),
    ({"type": "tanh"}, [IMAGE]),
    ({"type": "hard_sigmoid"}, [IMAGE]),
    ({"type": "hard_swish"}, [IMAGE]),
    ({"type": "silu"}, [IMAGE]),
    ({"type": "gelu"}, [IMAGE]),
    ({"type": "gelu", "approximate": "tanh"}, [IMAGE]),
    ({"type": "softmax", "axis": 1}, [IMAGE]),
    ({"type": "max_pool", "kernel": 2}, [IMAGE]),
    ({"type": "max_pool", "kernel": 3, "stride": 2, "padding": 1}, [IMAGE]),
    ({"type": "max_pool", "kernel": [2, 3], "stride": 2, "padding": [1, 0, 0, 2], "ceil_mode": True}, [(2, 4, 7, 6)]),
    ({"type": "max_pool", "kernel": 2, "stride": 1, "dilation": 2, "padding": "same"}, [IMAGE]),
    ({"type": "avg_pool", "kernel": 2}, [IMAGE]),
    ({"type": "avg_pool", "kernel": 3, "stride": 2, "padding": [1, 0, 2, 1], "count_include_pad": False}, [IMAGE]),
    ({"type": "avg_pool", "kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}, [IMAGE]),
    ({"type": "global_avg_pool"}, [IMAGE]),
    ({"type": "adaptive_avg_pool", "output": [4, 3]}, [IMAGE]),
    ({"type": "upsample", "scale": [2, 3]}, [IMAGE]),
    ({"type": "upsample", "scale": 2, "mode": "bilinear"}, [IMAGE]),
    ({"type": "upsample", "scale": 2, "mode": "bilinear", "align_corners": True}, [IMAGE]),
    ({"type": "flatten"}, [IMAGE]),
    ({"type": "flatten", "start_axis": 3}, [IMAGE]),
    ({"type": "reshape", "shape": [6, -1]}, [IMAGE]),
    ({"type": "transpose", "axes": [3, 1, 2]}, [IMAGE]),
    ({"type": "channel_shuffle", "groups": 2}, [IMAGE]),
    ({"type": "pixel_shuffle", "upscale": 2}, [IMAGE]),
    ({"type": "split", "sizes": [1, 3], "part": 1}, [IMAGE]),
    ({"type": "dropout", "rate": 0.4}, [IMAGE]),
    ({"type": "dropout", "rate": 0.0}, [IMAGE]),
    ({"type": "batch_norm", "epsilon": 1e-3}, [IMAGE]),
    ({"type": "batch_norm"}, [(5, 7)]),
    ({"type": "batch_norm"}, [(1, 7)]),
    ({"type": "layer_norm", "axes": 2}, [IMAGE]),
    ({"type": "layer_norm", "affine": False}, [(2, 5, 7)]),
    ({"type": "group_norm", "groups": 2}, [IMAGE]),
    ({"type": "instance_norm"}, [IMAGE]),
    ({"type": "instance_norm", "affine": True, "epsilon": 1e-2}, [IMAGE]),
    ({"type": "local_response_norm", "size": 3, "alpha": 0.5, "k": 2.0}, [IMAGE]),
    ({"type": "local_response_norm", "size": 2, "alpha": 0.5, "beta": 1.5}, [IMAGE]),
    ({"type": "add"}, [IMAGE, (2, 4, 1, 1), (2, 6, 5)]),
    ({"type": "subtract"}, [(2, 4, 1, 5), IMAGE]),
    ({"type": "multiply"}, [IMAGE, (2, 4, 1, 1), IMAGE]),
    ({"type": "concat", "axis": 2}, [IMAGE, (2, 4, 3, 5)]),
    ({"type": "parameter", "shape": [3, 4]}, [(2,)]),
]  # fmt: skip
IDS = [f"{fields['type']}{number}" for number, (fields, _) in enumerate(CASES)]


def draw_input(shape: tuple[int, ...], number: int) -> NDArray[np.float32]:
    """Draw halves from -6.5 to 6.5: borders of functions, and equal numbers in a window, are among them."""
    return (np.random.default_rng([number, 1]).integers(-13, 14, shape) / 2).astype(np.float32)


def make_layer(fields: dict[str, Any]) -> LayerBase:
    """Make a layer."""
    made: LayerBase = LAYER.validate_python({"name": "one", **fields})
    return made


def run_reference(
    layer: LayerBase, inputs: list[NDArray[Any]], own: dict[str, NDArray[Any]], noted: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any], Any]:
    """Run a layer by its own code."""
    place = Place(needs_grad_input=True, output_is_kept=False, seed=SEED, iteration=ITERATION, note=noted.__setitem__)
    return layer.run(inputs, own, place)


@pytest.mark.parametrize("is_numpy", [False, True], ids=["torch", "numpy"])
@pytest.mark.parametrize(("fields", "shapes"), CASES, ids=IDS)
def test_output_gradients_and_statistics_are_the_references(
    fields: dict[str, Any], shapes: list[tuple[int, ...]], is_numpy: bool
) -> None:
    from workloads.training.hosts.torch_kinds import TorchPlace, run_in_numpy, run_layer

    layer = make_layer(fields)
    inputs = [draw_input(shape, number) for number, shape in enumerate(shapes)]
    rng = np.random.default_rng(8)
    own: dict[str, NDArray[Any]] = {
        name: rng.standard_normal(one.shape).astype(np.float32)
        for name, one in layer.list_parameters(shapes[0]).items()
    }
    noted: dict[str, NDArray[Any]] = {}
    expected, backward = run_reference(layer, inputs, own, noted)
    gradient = rng.standard_normal(expected.shape).astype(np.float32)
    handed = backward(gradient)

    read = [torch.from_numpy(values.copy()).requires_grad_() for values in inputs]
    leaves = {name: torch.from_numpy(values.copy()).requires_grad_() for name, values in own.items()}
    running = {name: torch.zeros(values.shape) for name, values in noted.items()}
    place = TorchPlace(running, 0.25, seed=SEED, iteration=ITERATION)
    found = (run_in_numpy if is_numpy else run_layer)(layer, read, leaves, place)
    assert not any(found is one for one in read)
    found.backward(torch.from_numpy(gradient))
    # Products and sums of float32 in another order; numbers are at most some hundreds.
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=2e-5, atol=2e-5)
    for one, share in zip(read, handed.inputs, strict=True):
        if share is not None:
            np.testing.assert_allclose(one.grad.numpy(), share, rtol=1e-4, atol=1e-4)
    for name, share in handed.parameters.items():
        np.testing.assert_allclose(leaves[name].grad.numpy(), share, rtol=1e-4, atol=1e-4)
    for name, values in noted.items():
        np.testing.assert_allclose(running[name].numpy(), 0.25 * values, rtol=1e-5, atol=1e-6)


def test_every_form_is_compared_and_is_of_a_kind_that_is_no_loss() -> None:
    from workloads.training.hosts.torch_kinds import FORMS

    assert {fields["type"] for fields, _ in CASES} == FORMS.keys()
    assert not any(KINDS[kind].traits.is_loss for kind in FORMS)


def test_a_layer_that_shares_its_kinds_name_alone_is_run_by_its_own_code() -> None:
    from workloads.training.hosts.torch_kinds import TorchPlace, run_layer

    class Doubled(Relu):
        """Twice what a ReLU gives; its gradient is not doubled, so that it can be told whose it is."""

        def run(self, inputs: Any, parameters: Any, place: Any, /) -> Any:
            output, backward = super().run(inputs, parameters, place)
            return 2 * output, backward

    input = torch.tensor([[1.0, -2.0, 3.0]], requires_grad=True)
    output = run_layer(Doubled(name="one", type="relu"), [input], {}, TorchPlace({}, 0.1))
    output.backward(torch.ones(1, 3))
    assert output.tolist() == [[2.0, 0.0, 6.0]]
    assert input.grad.tolist() == [[1.0, 0.0, 1.0]]


def test_a_network_that_is_evaluated_drops_nothing_and_normalises_by_running_statistics() -> None:
    from workloads.training.hosts.torch_kinds import TorchPlace, run_in_numpy, run_layer

    input = torch.tensor([[1.0, -2.0], [3.0, 5.0]])
    dropped = run_layer(make_layer({"type": "dropout"}), [input], {}, TorchPlace({}, None))
    assert dropped.tolist() == input.tolist()
    running = {"mean": torch.tensor([1.0, 0.0]), "variance": torch.tensor([4.0, 1.0])}
    own = {"scale": torch.tensor([2.0, 1.0]), "shift": torch.tensor([0.0, 1.0])}
    norm = make_layer({"type": "batch_norm"})
    for form in (run_layer, run_in_numpy):
        found = form(norm, [input], own, TorchPlace(running, None))
        np.testing.assert_allclose(found.numpy(), [[0.0, -1.0], [2.0, 6.0]], atol=1e-4)
    assert running["mean"].tolist() == [1.0, 0.0]
