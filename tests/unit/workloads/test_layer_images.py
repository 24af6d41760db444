from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workloads.layer_images import join_images, keep_images, select_images
from workloads.opening import open_operands
from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey, prune
from workloads.sources.source import OperandStream
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

BATCH = 7
TEXT = """\
name: small
input: {channels: 3, height: 9, width: 9}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: bn2, type: batch_norm}
  - {name: add, type: add, inputs: [bn2, relu1]}
  - {name: relu2, type: relu}
  - {name: pool2, type: max_pool, kernel: 3}
  - {name: conv3, type: conv2d, out_channels: 5, kernel: 3, bias: false}
  - {name: bn3, type: batch_norm}
  - {name: relu3, type: relu}
  - {name: flat, type: flatten}
  - {name: drop, type: dropout, rate: 0.5}
  - {name: fc, type: linear, out_features: 6}
  - {name: loss, type: softmax_cross_entropy}
"""
PROFILE = "layer,tensor,density\nrelu1,output,0.5\nrelu2,output,0.3\nrelu3,output,0.4\n"
SYNTHETIC = "operands: {source: synthetic, seed: 3, density: {input: 0.4, grad_output: 0.3}}\n"
PROFILED = "operands: {source: profile, path: own.csv, seed: 3, clustering: {image_variance: 0.1}}\n"
CHOICES = ([0], [6, 2], [5, 0, 3, 1], list(range(BATCH)))


def open_stream(folder: Path, operands: str) -> OperandStream:
    (folder / "own.csv").write_text(PROFILE)
    pruning = "pruning: {rate: 0.8}\n" if "profile" in operands else ""
    return open_operands(make_workload(parse_yaml(TEXT + operands + pruning, "net.yaml"), folder, batch=BATCH))


def assert_rows(part: Operands, whole: Operands, images: list[int]) -> None:
    assert part.shape.batch == len(images)
    np.testing.assert_array_equal(part.input, whole.input[images])
    np.testing.assert_array_equal(part.grad_output, whole.grad_output[images])
    np.testing.assert_array_equal(part.weight, whole.weight)
    assert (part.mask is None) == (whole.mask is None)
    if part.mask is not None and whole.mask is not None:
        np.testing.assert_array_equal(part.mask, whole.mask[images])
    for one, other in zip(part.summed, whole.summed, strict=True):
        np.testing.assert_array_equal(one, other[images])
    assert (part.steps, part.relu_follows, part.layer) == (whole.steps, whole.relu_follows, whole.layer)


@pytest.mark.parametrize("images", CHOICES, ids=str)
@pytest.mark.parametrize("source", [SYNTHETIC, PROFILED], ids=["synthetic", "profile"])
def test_images_made_alone_are_those_of_the_whole_batch(tmp_path: Path, source: str, images: list[int]) -> None:
    stream = open_stream(tmp_path, source)
    whole = {operands.layer: operands for operands in stream.layers}
    layers = list(stream.list_images())
    assert [layer.layer for layer in layers] == ["conv1", "conv2", "conv3", "fc"]
    assert any(operands.summed for operands in whole.values())
    for layer in layers:
        assert (layer.shape, layer.steps) == (whole[layer.layer].shape, whole[layer.layer].steps)
        assert not layer.has_all
        assert_rows(layer.make(images), whole[layer.layer], images)


def test_images_of_operands_that_are_there_are_cut_out(tmp_path: Path) -> None:
    for operands in open_stream(tmp_path, SYNTHETIC).layers:
        kept = keep_images(operands)
        assert kept.has_all
        assert kept.shape == operands.shape
        assert_rows(kept.make([4, 1]), operands, [4, 1])


def test_joined_images_are_those_chosen_together(tmp_path: Path) -> None:
    for operands in open_stream(tmp_path, PROFILED).layers:
        joined = join_images(select_images(operands, [4, 1]), select_images(operands, [0]))
        assert_rows(joined, operands, [4, 1, 0])
        together = select_images(operands, [4, 1, 0]).finish
        assert (joined.finish.tau, joined.finish.key) == (together.tau, together.key)


def test_a_chosen_image_is_pruned_as_in_its_batch() -> None:
    rng = np.random.default_rng(1)
    gradient, key, tau = rng.standard_normal((BATCH, 50)), PruningKey(1, "relu1", 0), 1.0
    images = [5, 2]
    chosen = PruningKey(1, "relu1", 0, tuple(images))
    np.testing.assert_array_equal(prune(gradient[images], tau, chosen), prune(gradient, tau, key)[images])


def test_what_the_ppu_does_to_a_gradient_is_cut_out_too(tmp_path: Path) -> None:
    operands = next(iter(open_stream(tmp_path, SYNTHETIC).layers))
    mask = operands.input > 0
    late = GradientFinish(mask=mask, tau=0.5, key=PruningKey(1, "input", 0))
    given = Operands(
        operands.layer, operands.shape, operands.input, operands.weight, None, operands.grad_output, None,
        operands.steps, finish=late,
    )  # fmt: skip
    twice = select_images(select_images(given, [6, 5, 3]), [2, 0])
    assert twice.finish.mask is not None
    np.testing.assert_array_equal(twice.finish.mask, mask[[3, 6]])
    assert twice.finish.key == PruningKey(1, "input", 0, (3, 6))
    assert twice.finish.tau == late.tau


def test_images_that_are_named_are_pruned_alike_whichever_they_are(tmp_path: Path) -> None:
    stream = open_stream(tmp_path, PROFILED)
    whole = {operands.layer: operands.finish for operands in stream.layers}
    assert sum(finish.tau > 0 for finish in whole.values()) >= 2
    for layer in stream.list_images():
        found = [layer.make(images).finish for images in CHOICES]
        assert len({finish.tau for finish in found}) == 1
        assert [finish.key and finish.key.images for finish in found] == [
            tuple(images) if finish.key else None for finish, images in zip(found, CHOICES, strict=True)
        ]
        made = layer.make(None).finish
        assert (made.tau, made.key) == (whole[layer.layer].tau, whole[layer.layer].key)
        assert found[0].tau == pytest.approx(whole[layer.layer].tau, rel=0.3)
