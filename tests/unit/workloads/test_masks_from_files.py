"""Masks from an .npz file: read by the names of the weights, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_trainings import LAYERS, OPERANDS, TRAINING, make_plan

from workloads.conformance import check_mask_producer
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.masks.file import FileMask
from workloads.npz_file import write_npz
from workloads.opening import check_operands, open_operands
from workloads.workload import Workload, make_workload

SHAPES = {"conv/weight": (2, 1, 3, 3), "fc/weight": (3, 32)}
NETWORK: dict[str, Any] = {
    "name": "small",
    "input": {"channels": 1, "height": 4, "width": 4},
    "layers": [
        {"name": "conv", "type": "conv2d", "out_channels": 2, "kernel": 3, "padding": 1},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 3},
        {"name": "loss", "type": "softmax_cross_entropy"},
    ],
    "operands": {"source": "synthetic", "seed": 3},
}


def draw_masks(seed: int = 1) -> dict[str, NDArray[Any]]:
    """Draw a mask for each weight of the network."""
    rng = np.random.default_rng(seed)
    return {name: rng.random(shape) < 0.5 for name, shape in SHAPES.items()}


def make(folder: Path, masks: dict[str, NDArray[Any]] | None, **sparsify: Any) -> Workload:
    """Make a workload in a folder, and beside it a file of masks."""
    if masks is not None:
        write_npz(folder / "masks.npz", masks)
    data = NETWORK | {"sparsify": {"method": "file", "path": "masks.npz", **sparsify}}
    return make_workload(YamlDocument("net.yaml", data), folder)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32])
def test_the_weights_that_live_are_those_of_the_file(dtype: type[np.generic], tmp_path: Path) -> None:
    masks = draw_masks()
    made = make(tmp_path, {name: mask.astype(dtype) for name, mask in masks.items()})
    check_operands(made)
    stream = open_operands(made)
    for one in stream.layers:
        np.testing.assert_array_equal(one.weight != 0, masks[f"{one.layer}/weight"])
    assert stream.headline.endswith(", weights masked by file")
    assert stream.facts["sparsify"] == {
        "method": "file", "layers": "*", "freeze": False, "path": str(tmp_path / "masks.npz"),
    }  # fmt: skip


def test_layers_that_are_left_out_need_no_mask(tmp_path: Path) -> None:
    made = make(tmp_path, {"conv/weight": draw_masks()["conv/weight"]}, layers="conv")
    check_operands(made)
    densities = {one.layer: np.count_nonzero(one.weight) / one.weight.size for one in open_operands(made).layers}
    assert densities["conv"] == draw_masks()["conv/weight"].mean() < 1
    assert densities["fc"] == 1


def test_a_resolved_workload_finds_the_file_from_elsewhere(tmp_path: Path) -> None:
    resolved = make(tmp_path, draw_masks()).resolved()
    assert resolved["sparsify"]["path"] == str(tmp_path / "masks.npz")
    check_operands(make_workload(YamlDocument("again", resolved), tmp_path / "elsewhere"))


def test_a_training_holds_the_masks_of_a_file(tmp_path: Path) -> None:
    rest = OPERANDS + TRAINING + "sparsify: {method: file, path: masks.npz, layers: 'conv*'}\n"
    shapes = {"conv1/weight": (4, 1, 3, 3), "conv2/weight": (4, 4, 3, 3)}
    masks = {name: np.random.default_rng(2).random(shape) < 0.5 for name, shape in shapes.items()}
    write_npz(tmp_path / "masks.npz", masks)
    plan = make_plan(tmp_path, layers=LAYERS, rest=rest)
    assert plan.masks is not None
    assert set(plan.masks) == set(masks)
    for name, mask in masks.items():
        np.testing.assert_array_equal(plan.masks[name] == 1, mask)
        np.testing.assert_array_equal(plan.begin().parameters[name] != 0, mask)


@pytest.mark.parametrize("freeze", [False, True])
def test_the_producer_keeps_its_laws(freeze: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    shapes = ((4, 3, 3, 3), (8, 1, 1, 1), (2, 3), (1, 1))
    masks = {f"layer{index}/weight": rng.random(shape) < 0.5 for index, shape in enumerate(shapes)}
    write_npz(tmp_path / "masks.npz", masks)
    check_mask_producer(FileMask(method="file", path=str(tmp_path / "masks.npz"), freeze=freeze))


HALVES = np.full(SHAPES["conv/weight"], 0.5, np.float32)
REFUSED: tuple[tuple[str, dict[str, NDArray[Any]] | None, str], ...] = (
    ("no file", None, "{path}: there is no such file"),
    ("a mask too few", {"conv/weight": np.ones(SHAPES["conv/weight"])},
     "{path}: the array 'fc/weight' is missing; 'fc' is masked, unless `layers` leaves it out"),
    ("an unknown name", draw_masks() | {"cnv/weight": np.ones(1)},
     "{path}: the array 'cnv/weight' is no weight of 'small'; did you mean 'conv/weight'?"),
    ("a bias", draw_masks() | {"conv/bias": np.ones(2)},
     "{path}: the array 'conv/bias' is no weight of 'small'"),
    ("another shape", draw_masks() | {"fc/weight": np.ones((32, 3))},
     "{path}: the array 'fc/weight' has the shape (32, 3), the weight has (3, 32)"),
    ("another type", draw_masks() | {"conv/weight": np.full(SHAPES["conv/weight"], "1")},
     "{path}: the array 'conv/weight' must be bool or of numbers, got <U1"),
    ("no mask", draw_masks() | {"conv/weight": HALVES},
     "{path}: the array 'conv/weight' holds 0.5 at [0, 0, 0, 0]; a mask has 0 and 1"),
    ("not a number", draw_masks() | {"conv/weight": HALVES * np.float32("nan")},
     "{path}: the array 'conv/weight' holds nan at [0, 0, 0, 0]; a mask has 0 and 1"),
)  # fmt: skip


@pytest.mark.parametrize(("masks", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_files_that_are_no_masks_are_refused(masks: dict[str, NDArray[Any]] | None, words: str, tmp_path: Path) -> None:
    made = make(tmp_path, masks)
    with pytest.raises(InputError) as caught:
        check_operands(made)
    assert str(caught.value) == words.format(path=tmp_path / "masks.npz")
