"""A network of all activations and normalisations runs on the host and is verified, step by step."""

from __future__ import annotations

from pathlib import Path

from sim import simulate
from workloads.workload import load_workload

NETWORK = """\
name: all-activations
batch: 2
input: {channels: 1, height: 8, width: 8}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: norm1, type: instance_norm}
  - {name: act1, type: relu6}
  - {name: lateral, type: local_response_norm, size: 3}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: act2, type: leaky_relu}
  - {name: conv3, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: act3, type: prelu, per_channel: true}
  - {name: conv4, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: norm4, type: group_norm, groups: 2}
  - {name: act4, type: silu}
  - {name: conv5, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: act5, type: hard_swish}
  - {name: conv6, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: act6, type: gelu, approximate: tanh}
  - {name: flat, type: flatten}
  - {name: fc7, type: linear, out_features: 6}
  - {name: norm7, type: layer_norm}
  - {name: act7, type: gelu}
  - {name: fc8, type: linear, out_features: 6}
  - {name: norm8, type: batch_norm}
  - {name: act8, type: sigmoid}
  - {name: fc9, type: linear, out_features: 6}
  - {name: act9, type: softmax}
  - {name: drop9, type: dropout}
  - {name: fc10, type: linear, out_features: 6}
  - {name: act10, type: tanh}
  - {name: fc11, type: linear, out_features: 6}
  - {name: act11, type: hard_sigmoid}
  - {name: fc12, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1, images: {resize: 8}}
"""


def test_every_step_is_verified_and_every_activation_has_its_passes(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(NETWORK)
    result = simulate(path, overrides=("ppu.fuse_passes=false",))
    assert result.record["verdict"] == "verified"
    passes = {(row.layer, row.step) for row in result.steps if row.kind not in ("conv2d", "linear")}
    network = load_workload(path).network
    own = [node.name for node in network.nodes if not node.layer.traits.is_computed]
    riding = {node.name for node in network.nodes if node.layer.traits.rides_along}
    assert riding == {"act1", "flat", "drop9"}
    expected = {(name, step) for name in own if name not in riding for step in ("forward", "backward")}
    assert passes == (expected - {("loss", "forward"), ("loss", "backward")}) | {("loss", "loss")}
    densities = {row.layer: row.mask_density for row in result.steps if row.step == "gta"}
    assert densities["conv2"] < 1
    assert {densities[name] for name in ("conv3", "conv4", "conv5", "conv6", "fc7", "fc8", "fc10", "fc12")} == {1.0}
