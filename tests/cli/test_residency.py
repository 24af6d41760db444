"""`buffer.keep_on_chip` from the command line and Python: rows, totals, engines, samples, both machines."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from cli.command import run_command

from sim import simulate
from sim.iteration.run_result import RunResult

NETWORK = """
name: residents
batch: 2
input: {channels: 2, height: 8, width: 8}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1, bias: false}
  - {name: bn2, type: batch_norm}
  - {name: sum2, type: add, inputs: [bn2, relu1]}
  - {name: relu2, type: relu}
  - {name: pool, type: max_pool, kernel: 2}
  - {name: flat, type: flatten}
  - {name: fc1, type: linear, out_features: 10}
  - {name: relu3, type: relu}
  - {name: fc2, type: linear, out_features: 4}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: synthetic, seed: 3, density: {input: 0.4, grad_output: 0.4}, integers: true}
"""
SMALL = ("array.groups=4", "buffer.keep_on_chip=false")
KEEP = ("array.groups=4", "buffer.keep_on_chip=true")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("residents")
    (path / "net.yaml").write_text(NETWORK)
    return path


def run(folder: Path, *overrides: str, **options: object) -> RunResult:
    return simulate(folder / "net.yaml", overrides=overrides, **options)  # type: ignore[arg-type]


def frame(result: RunResult) -> pd.DataFrame:
    return result.frame.drop(columns=["machine"])


@pytest.mark.parametrize("fuses", ["false", "true"])
def test_bytes_that_are_not_moved_are_those_that_would_be_on_both_machines(folder: Path, fuses: str) -> None:
    plain = frame(run(folder, *SMALL, f"ppu.fuse_passes={fuses}"))
    kept = frame(run(folder, *KEEP, f"ppu.fuse_passes={fuses}"))
    assert (kept["residency_saved_bytes"] > 0).sum() > len(kept) / 2
    assert (plain["residency_saved_bytes"] == 0).all()
    assert list(plain["tiling"]) == list(kept["tiling"])
    moved = kept["dram_read_bytes"] + kept["dram_write_bytes"]
    assert list(moved + kept["residency_saved_bytes"]) == list(plain["dram_read_bytes"] + plain["dram_write_bytes"])
    assert kept["verdict"].isin(["exact", "none"]).all()
    assert (kept["cycles"] <= plain["cycles"]).all()
    # What passes the ports does not change, but for what lies raw behind fully connected layers.
    same = ~kept["layer"].isin(["fc1", "fc2", "loss", "pool"])
    for column in ("buffer_read_bytes", "buffer_write_bytes"):
        assert list(kept[column][same]) == list(plain[column][same])
    # Tensors that stay for the next and are written too save nothing where they are written.
    assert (kept["kept"][kept["residency_saved_bytes"] > 0] != "none").all()


@pytest.mark.parametrize(
    "options", [{"engine": "simpy"}, {"jobs": 2}, {"sample": 1.0}, {"layers": "conv2"}, {"steps": ["gtw"]}]
)
def test_engines_processes_samples_and_parts_of_a_run_keep_the_same(folder: Path, options: dict[str, object]) -> None:
    whole, other = run(folder, *KEEP).frame, run(folder, *KEEP, **options).frame
    if "sample" in options:
        # Passes of a sampled run move what the steps were estimated to store.
        other = other[other["kind"].isin(["conv2d", "linear"])]
    names = [
        "layer",
        "step",
        "machine",
        "cycles",
        "kept",
        "residency_saved_bytes",
        "dram_read_bytes",
        "dram_write_bytes",
    ]
    both = other[names].merge(whole[names], on=["layer", "step", "machine"])
    assert len(both) == len(other)
    for name in names[3:]:
        assert list(both[f"{name}_x"]) == list(both[f"{name}_y"]), name


def test_dma_passes_the_buffer_less_often(folder: Path) -> None:
    plain, kept = run(folder, *SMALL), run(folder, *KEEP)
    width = 16
    for before, after in zip(plain.steps, kept.steps, strict=True):
        assert after.noc_pj == before.noc_pj or after.layer in ("fc1", "fc2", "loss", "pool")
        assert after.buffer_pj is not None
        assert before.buffer_pj is not None
        if after.residency_saved_bytes > width and after.layer.startswith(("conv", "bn", "sum")):
            assert after.buffer_pj < before.buffer_pj


def test_totals_explain_and_columns_tell_what_stayed(folder: Path) -> None:
    options = [part for change in KEEP for part in ("--set", change)]
    assert run_command(folder, "simulate", "net.yaml", *options, "--out", "run").exit_code == 0
    rows = pd.read_csv(folder / "run" / "steps.csv").set_index(["layer", "step"])
    assert set(rows.loc[("conv2", "forward"), "kept"]) == {"input+(output)"}
    told = run_command(folder, "explain", "run", "conv2", "forward").stdout
    saved = int(rows.loc[("conv2", "forward"), "residency_saved_bytes"].iloc[0])
    assert f"In the buffer stays input+(output) (in brackets: written to DRAM too), which saves {saved:,} DRAM" in told
    assert run_command(folder, "report", "run", "-o", "page.html").exit_code == 0
    total = int(rows[rows["machine"].str.endswith("]")]["residency_saved_bytes"].sum())
    assert (
        f"What stays in the buffer for the next step or pass saves {total:,} DRAM bytes"
        in (folder / "page.html").read_text()
    )


def test_a_pinned_tiling_has_the_room_that_is_left(folder: Path) -> None:
    (folder / "pins.yaml").write_text("tilings: [{layer: conv2, step: forward, tiling: 2x8x2|4}]\n")
    options = [
        "--tiling",
        "pins.yaml",
        "--baseline",
        "none",
        "--no-verify",
        "--out",
        "pinned",
        "--set",
        "array.groups=4",
    ]

    def pin(capacity: int, *more: str) -> str:
        changes = (f"buffer.capacity_bytes={capacity}", *more)
        sets = [part for change in changes for part in ("--set", change)]
        return run_command(folder, "simulate", "net.yaml", *options, *sets, "--overwrite").stderr

    found = re.search(r"needs (\d+) bytes", pin(2500, "buffer.keep_on_chip=false"))
    assert found is not None
    capacity = int(found[1]) + 100
    assert "needs" not in pin(capacity, "buffer.keep_on_chip=false")
    words = pin(capacity, "buffer.keep_on_chip=true")
    told = re.search(
        r"needs (\d+) bytes of the global buffer, buffer\.capacity_bytes = (\d+), of which (\d+) hold what stays there",
        words,
    )
    assert told is not None
    needed, there, resident = (int(number) for number in told.groups())
    # Two images of four channels of 8 x 8 numbers of two bytes, the input, and perhaps the output.
    tensor = 2 * 4 * 64 * 2
    assert there == capacity
    assert resident in (tensor, 2 * tensor)
    assert there - resident < needed < int(found[1])
