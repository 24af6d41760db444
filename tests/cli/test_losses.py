"""Networks with several losses are trained, verified and told of; targets come from labels or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.command import run_command
from numpy.typing import NDArray

from sim import RunResult, simulate

NETWORK = """\
name: two
batch: 2
input: {channels: 1, height: 8, width: 8}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: aux_mean, type: global_avg_pool}
  - {name: aux_flat, type: flatten}
  - {name: aux_fc, type: linear, out_features: 5}
  - {name: aux, type: softmax_cross_entropy, weight: 0.3, label_smoothing: 0.1}
  - {name: conv2, type: conv2d, inputs: [relu1], out_channels: 5, kernel: 3, padding: 1}
  - {name: pixels, type: softmax_cross_entropy}
operands: {source: host, dataset: own.npz, seed: 1}
"""
PIXELS = np.random.default_rng(1).integers(0, 5, (6, 8, 8))


def write(folder: Path, **targets: NDArray[Any]) -> Path:
    images = np.random.default_rng(2).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.savez(folder / "own.npz", train_images=images, train_labels=np.arange(6) % 5, **targets)  # type: ignore[arg-type]
    path = folder / "net.yaml"
    path.write_text(NETWORK)
    return path


def run(path: Path) -> RunResult:
    return simulate(path, "sparsetrain", batch=2)


def test_auxiliary_losses_are_verified_and_told(tmp_path: Path) -> None:
    result = run(write(tmp_path))
    assert result.is_correct
    facts = result.record["operand_facts"]
    assert list(facts["losses"]) == ["aux", "pixels"]
    assert facts["loss"] == pytest.approx(0.3 * facts["losses"]["aux"] + facts["losses"]["pixels"], rel=1e-12)
    losses = {one.layer: one for one in result.steps if one.step == "loss"}
    score_bytes, label_bytes = 2 * 5 * 8 * 8 * 2, 2 * 8 * 8 * 2
    assert (losses["pixels"].dram_read_bytes, losses["pixels"].dram_write_bytes) == (
        score_bytes + label_bytes, score_bytes,
    )  # fmt: skip
    assert (losses["aux"].dram_read_bytes, losses["aux"].dram_write_bytes) == (2 * 5 * 2, 2 * 5 * 2)
    assert "loss 'pixels' compares each place with its image's label (unrepresentative)" in result.operand_source


def test_targets_of_a_file_stand_in_the_place_of_labels(tmp_path: Path) -> None:
    made_up = run(write(tmp_path)).record["operand_facts"]["losses"]
    result = run(write(tmp_path, **{"train_targets/pixels": PIXELS}))
    own = result.record["operand_facts"]["losses"]
    assert own["aux"] == made_up["aux"]
    assert own["pixels"] != made_up["pixels"]
    assert "each place" not in result.operand_source


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"train_targets/pixels": PIXELS[:5]},
         "own.npz: train_targets/pixels must be numbers of shape (6, ...), got int64 of shape (5, 8, 8)"),
        ({"train_targets/maps": PIXELS}, "network 'two': targets are given for 'maps', which is no loss"),
        ({"train_targets": PIXELS},
         "network 'two': targets of the loss 'aux' must be integers of shape (2,), got int64 of shape (2, 8, 8)"),
        ({"train_targets/pixels": PIXELS + 5}, "network 'two': targets of the loss 'pixels' must be in 0..4, got 5..9"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["validate", "simulate"])
def test_targets_that_do_not_fit_are_refused(
    command: str, targets: dict[str, NDArray[Any]], message: str, tmp_path: Path
) -> None:
    write(tmp_path, **targets)
    outcome = run_command(tmp_path, command, "net.yaml")
    assert outcome.exit_code == 2
    assert outcome.stderr.splitlines()[-1].removeprefix("sparsetrain: ") == message
