"""A convolution of signals is that of images one row high."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim import simulate
from workloads.errors import InputError
from workloads.kinds.conv1d import Conv1d
from workloads.kinds.conv2d import Conv2d
from workloads.workload import Workload, make_workload
from workloads.yaml_file import dump_yaml, parse_yaml

SIGNAL = (2, 4, 1, 11)
NETWORK = """\
name: signals
batch: 2
input: {channels: 4, length: 11}
layers:
  - {name: conv1, type: conv1d, out_channels: 6, kernel: 3, padding: same}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv1d, out_channels: 4, kernel: 4, stride: 2, padding: [2, 1], groups: 2}
operands: {source: synthetic, seed: 1, density: {input: 0.6}}
"""


def load(text: str) -> Workload:
    return make_workload(parse_yaml(text, "net.yaml"), base_directory=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "wide"),
    [
        ({"kernel": 3}, {"kernel": [1, 3]}),
        ({"kernel": 3, "padding": "same", "stride": 2}, {"kernel": [1, 3], "padding": "same", "stride": [1, 2]}),
        ({"kernel": 4, "padding": 2, "dilation": 3}, {"kernel": [1, 4], "padding": [0, 2], "dilation": [1, 3]}),
        ({"kernel": 2, "padding": [1, 0], "groups": 2}, {"kernel": [1, 2], "padding": [0, 1, 0, 0], "groups": 2}),
    ],
)
def test_its_geometry_is_that_of_a_kernel_of_one_row(fields: dict[str, Any], wide: dict[str, Any]) -> None:
    narrow = Conv1d.model_validate({"name": "a", "type": "conv1d", "out_channels": 6, **fields})
    image = Conv2d.model_validate({"name": "a", "type": "conv2d", "out_channels": 6, **wide})
    assert narrow.infer_geometry(SIGNAL) == image.infer_geometry(SIGNAL)


def test_its_output_is_the_sum_over_taps() -> None:
    layer = Conv1d.model_validate(
        {"name": "a", "type": "conv1d", "out_channels": 3, "kernel": 2, "stride": 2, "padding": [1, 0], "dilation": 3}
    )
    rng = np.random.default_rng(1)
    input, weight = rng.integers(-3, 4, SIGNAL).astype(float), rng.integers(-3, 4, (3, 4, 1, 2)).astype(float)
    found = layer.bind_steps(SIGNAL).forward(input, weight)
    padded = np.concatenate([np.zeros((2, 4, 1)), input[:, :, 0]], axis=2)
    expected = np.stack(
        [
            np.einsum("nc,mc->nm", padded[:, :, 2 * q], weight[:, :, 0, 0])
            + np.einsum("nc,mc->nm", padded[:, :, 2 * q + 3], weight[:, :, 0, 1])
            for q in range((11 + 1 - 3 - 1) // 2 + 1)
        ],
        axis=2,
    )
    np.testing.assert_array_equal(found, expected[:, :, None])


def test_a_network_of_signals_is_one_of_images_one_row_high() -> None:
    signals = load(NETWORK)
    assert signals.network.input_shape == (2, 4, 1, 11)
    images = load(NETWORK.replace("length: 11", "height: 1, width: 11"))
    assert signals.network == images.network
    again = load(dump_yaml(signals.resolved())).network
    assert [node.output_shape for node in again.nodes] == [node.output_shape for node in signals.network.nodes]


def test_a_network_of_signals_is_simulated_and_verified() -> None:
    result = simulate(load(NETWORK), "sparsetrain")
    assert result.is_correct
    assert {(step.layer, step.step) for step in result.steps if step.tasks} == {
        (layer, step) for layer in ("conv1", "conv2") for step in ("forward", "gta", "gtw")
    }


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("length: 11", "height: 2, width: 11",
         "net.yaml, line 5: layers[0] 'conv1': conv1d reads (batch, channels, 1, length), but its input has the shape "
         "(2, 4, 2, 11)"),
        ("length: 11", "length: 11, height: 1",
         "net.yaml, line 3: input: a signal has the fields channels and length, got channels, length, height"),
        ("length: 11", "length: 0",
         "net.yaml, line 3: input: length must be a whole number from 1 to 16777216, got 0"),
        ("kernel: 3", "kernel: [1, 3]",
         "net.yaml, line 5: layers[0] 'conv1': kernel must be a whole number from 1 to 16777216, got [1, 3]"),
        ("kernel: 4", "kernel: 15",
         "net.yaml, line 7: layers[2] 'conv2': the kernel of 1 x 15 is larger than the padded input of 1 x 14; the "
         "input's shape is (2, 6, 1, 11)"),
    ],
)  # fmt: skip
def test_what_is_no_signal_is_refused(given: str, instead: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load(NETWORK.replace(given, instead))
    assert str(error.value) == message
