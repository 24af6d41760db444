"""What `import` writes, refuses and leaves alone, and files of other programs in the place of a workload."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli.command import run_command
from onnx_models import make_model, node, save
from peers import import_peer

TOPOLOGY = """\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, Sparsity,
conv1, 8, 8, 3, 3, 2, 4, 1, 1:2,
DP2, 6, 6, 3, 3, 4, 1, 2,
fc, 1, 1, 1, 1, 16, 10, 1,
"""
PROBLEM = (
    "problem: {shape: cnn-layer, C: 2, K: 3, N: 1, P: 4, Q: 4, R: 3, S: 3, "
    "Wstride: 1, Hstride: 1, Wdilation: 1, Hdilation: 1}\n"
)
WRITTEN = """\
# Imported by sparsetrain from net.csv.
name: net
description: 3 unconnected layers of net.csv
batch: 2
layers:
- name: conv1
  type: conv2d
  input: {channels: 2, height: 8, width: 8}
  out_channels: 4
  kernel: [3, 3]
  stride: [1, 1]
  bias: false
- name: DP2
  type: conv2d
  input: {channels: 4, height: 6, width: 6}
  out_channels: 4
  kernel: [3, 3]
  stride: [2, 2]
  padding: {bottom: 1, right: 1}
  groups: 4
  bias: false
- name: fc
  type: linear
  input: {features: 16}
  out_features: 10
  bias: false
operands:
  source: synthetic
  seed: 1
  density: {input: 0.5, grad_output: 0.5, weight: 1.0}
  layer_density:
    conv1: {input: 0.5, grad_output: 0.5, weight: 0.5}
"""
NOTE = "The densities of inputs and output gradients are assumed: half of them are zero.\n"


def write(folder: Path, name: str = "net.csv", text: str = TOPOLOGY) -> str:
    """Write a file and give its name."""
    (folder / name).write_text(text)
    return name


def test_import_writes_a_workload(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "import", write(tmp_path), "-o", "out/net.yaml", "--batch", "2")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout == f"out/net.yaml: 3 layers\n{NOTE}"
    assert outcome.files == ("net.csv", "out/net.yaml")
    assert (tmp_path / "out/net.yaml").read_text() == WRITTEN


@pytest.mark.parametrize(("name", "text"), [("net.csv", TOPOLOGY), ("net.yaml", PROBLEM)])
def test_a_file_is_a_workload_itself(name: str, text: str, tmp_path: Path) -> None:
    write(tmp_path, name, text)
    for arguments in (("validate", name), ("show", name)):
        assert run_command(tmp_path, *arguments).exit_code == 0
    outcome = run_command(tmp_path, "simulate", name, "--arch", "ideal", "--batch", "2", "--out", "run")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["verdict"] == "verified"


def test_an_import_is_replaced_by_the_next(tmp_path: Path) -> None:
    write(tmp_path)
    first = run_command(tmp_path, "import", "net.csv", "-o", "net.yaml", "--batch", "2")
    again = run_command(tmp_path, "import", "net.csv", "-o", "net.yaml")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert (tmp_path / "net.yaml").read_text() == WRITTEN.replace("batch: 2", "batch: 1")


def test_a_file_that_no_import_wrote_is_left(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "net.yaml", "mine")
    outcome = run_command(tmp_path, "import", "net.csv", "-o", "net.yaml")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "",
        "sparsetrain: --output net.yaml: is there already, and no import wrote it; --overwrite replaces it\n",
    )  # fmt: skip
    assert (tmp_path / "net.yaml").read_text() == "mine"
    assert run_command(tmp_path, "import", "net.csv", "-o", "net.yaml", "--overwrite").exit_code == 0


REFUSED = {
    ("import", "nothing.csv", "-o", "a.yaml"): "nothing.csv: there is no such file",
    ("import", ".", "-o", "a.yaml"): ".: is a directory, not a file to import",
    ("import", "net.csv", "-o", "a.json"): (
        "--output a.json: must end in .yaml or .yml, so that it is read as a workload"
    ),
    ("import", "net.csv", "-o", "net.csv/a.yaml"): "--output net.csv/a.yaml: nothing can be written in ",
    ("import", "net.csv", "-o", "a.yaml", "--batch", "0"): "batch must be a whole number from 1, got 0",
    ("import", "mine.yaml", "-o", "a.yaml"): "mine.yaml: is no file that can be imported; that is an ONNX model, ",
    ("simulate", "template.csv"): "template.csv, line 2: 'IFMAP Height' is 'H', as in a template; ",
    ("import", "template.csv", "-o", "a.yaml"): "template.csv, line 2: 'IFMAP Height' is 'H', as in a template; ",
    ("validate", "nothing.csv"): "nothing.csv: there is no such file",
    ("simulate", "nothing.onnx"): "nothing.onnx: there is no such file",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_cannot_be_imported_ends_in_one_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "mine.yaml", "name: mine\n")
    write(tmp_path, "template.csv", TOPOLOGY.replace("conv1, 8", "conv1, H"))
    outcome = run_command(tmp_path, *arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith(f"sparsetrain: {REFUSED[arguments]}")
    assert outcome.stderr.count("\n") == 1
    assert outcome.files == ("mine.yaml", "net.csv", "template.csv")


def test_a_model_without_the_library_says_how_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\x04mine:\x00")
    monkeypatch.setitem(sys.modules, "onnx", None)
    outcome = run_command(tmp_path, "import", "net.onnx", "-o", "net.yaml")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (
        2, "",
        "sparsetrain: net.onnx needs the library onnx, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[onnx]' installs it\n",
    )  # fmt: skip
    assert outcome.files == ("net.onnx",)


MODEL = [
    node("Conv", "x conv1.weight conv1.bias", "a", pads=[1, 1, 1, 1]), node("BatchNormalization", "a s b m v", "n"),
    node("Relu", "n", "r"), node("GlobalAveragePool", "r", "g"), node("Flatten", "g", "f"),
    node("Gemm", "f fc.weight fc.bias", "z", transB=1), node("Softmax", "z", "y"),
]  # fmt: skip
CONSTANTS = {
    "conv1.weight": (6, 3, 3, 3), "conv1.bias": (6,), "s": (6,), "b": (6,), "m": (6,),
    "v": np.ones(6, np.float32), "fc.weight": (10, 6), "fc.bias": (10,),
}  # fmt: skip


@pytest.mark.peers
def test_a_model_is_written_with_its_weights_and_trained_from_them(tmp_path: Path) -> None:
    import_peer("onnx")
    save(make_model(MODEL, ("N", 3, 16, 16), CONSTANTS), tmp_path / "net.onnx")
    outcome = run_command(tmp_path, "import", "net.onnx", "-o", "net.yaml", "--batch", "2")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout == (
        "net.yaml: 7 layers, 250 parameters\nnet.npz: 6 arrays\nnet.statistics.npz: 2 arrays\n"
        "Batch norm takes its statistics of the batch, as in training; those of the model are kept beside.\n"
    )
    assert outcome.files == ("net.npz", "net.onnx", "net.statistics.npz", "net.yaml")
    written, direct = (
        run_command(tmp_path, "simulate", name, "--batch", "2", "--out", out)
        for name, out in (("net.yaml", "written"), ("net.onnx", "direct"))
    )
    assert (written.exit_code, direct.exit_code) == (0, 0)
    rows = [(tmp_path / f"{out}/steps.csv").read_text() for out in ("written", "direct")]
    assert rows[0].replace("net.npz", "net.onnx") == rows[1]


@pytest.mark.peers
def test_an_open_batch_is_asked_for(tmp_path: Path) -> None:
    import_peer("onnx")
    save(make_model(MODEL, ("N", 3, 16, 16), CONSTANTS), tmp_path / "net.onnx")
    outcome = run_command(tmp_path, "simulate", "net.onnx")
    assert (outcome.exit_code, outcome.stderr) == (
        2, "sparsetrain: net.onnx: the batch of the input 'x' is open; --batch says it\n"
    )  # fmt: skip


@pytest.mark.peers
def test_an_archive_that_no_import_wrote_is_left(tmp_path: Path) -> None:
    import_peer("onnx")
    save(make_model(MODEL, (2, 3, 16, 16), CONSTANTS), tmp_path / "net.onnx")
    write(tmp_path, "net.npz", "mine")
    outcome = run_command(tmp_path, "import", "net.onnx", "-o", "net.yaml")
    assert (outcome.exit_code, outcome.stderr) == (
        2, "sparsetrain: net.npz: is there already, and no import wrote it; --overwrite replaces it\n"
    )  # fmt: skip
    assert outcome.files == ("net.npz", "net.onnx")
    assert (tmp_path / "net.npz").read_text() == "mine"
