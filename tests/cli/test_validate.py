"""`sparsetrain validate` says what `simulate` would say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cli.command import SMALL, run_command, write_small

from reports.validate_command import LEFT_TO_SIMULATE
from sim import simulate
from workloads.errors import InputError

HOST = SMALL.replace(
    SMALL.partition("operands:")[2], " {source: host, dataset: fashion_mnist, seed: 1}\n"
).replace("  - {name: fc, type: linear, out_features: 3}\n", "  - {name: fc, type: linear, out_features: 10}\n"
          "  - {name: loss, type: softmax_cross_entropy}\n")  # fmt: skip
IMAGES = "images: {channels: 3, resize: [6, 5]}"
OPERANDS = SMALL.partition("operands:")[2]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (SMALL, ["--set", "technology=7nm"]),
        (SMALL, ["--set", "dataflow=systolic"]),
        (SMALL, ["--set", "array.accumulators=2"]),
        (SMALL, ["--arch", "nowhere.yaml"]),
        (SMALL, ["--baseline", "pruning@2"]),
        (SMALL, ["--baseline", "pruning@0.9"]),
        (SMALL, ["--baseline", "none,natural"]),
        (SMALL.replace(OPERANDS, " {source: recorded, path: none.npz}\n"), []),
        (SMALL.replace(OPERANDS, " {source: profile, path: none.csv, seed: 1}\n"), []),
        (SMALL.partition("operands:")[0], []),
        (HOST, []),
        (HOST.replace("fashion_mnist,", f"fashion_mnist, weights: none.npz, {IMAGES},"), []),
        (HOST.replace("fashion_mnist,", "'cifar10:none',"), []),
    ],
    ids=["technology", "dataflow", "accumulators", "arch", "rate", "pruning", "none", "recording", "profile", "absent",
         "images", "weights", "dataset"],
)  # fmt: skip
def test_validate_and_simulate_say_the_same_sentence(text: str, options: list[str], tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(text)
    said = run_command(tmp_path, "validate", "net.yaml", *options)
    simulated = run_command(tmp_path, "simulate", "net.yaml", *options)
    assert (said.exit_code, said.stderr) == (2, simulated.stderr)
    assert simulated.exit_code == 2
    assert said.stderr.count("\n") == 1
    assert said.files == ("net.yaml",)


def test_a_buffer_too_small_for_any_operands_is_refused_and_so_by_simulate(tmp_path: Path) -> None:
    options = ["--set", "buffer.capacity_bytes=20"]
    said = run_command(tmp_path, "validate", write_small(tmp_path), *options)
    assert said.stderr == (
        # Three outputs of 5 sums; twice the load of 3 empty rows and 3 x 3 kernel rows.
        "sparsetrain: layer 'conv1', step forward: no tiling fits the global buffer; the smallest needs 186 bytes, "
        "were all operands zero, buffer.capacity_bytes = 20\n"
    )
    assert run_command(tmp_path, "simulate", "small.yaml", *options).exit_code == 2


def test_validate_refuses_nothing_that_simulate_accepts(tmp_path: Path) -> None:
    path = tmp_path / write_small(tmp_path)
    outcomes = []
    for capacity in range(60, 400, 20):
        options = [f"buffer.capacity_bytes={capacity}", "technology=null"]
        said = run_command(tmp_path, "validate", "small.yaml", *(f"--set={one}" for one in options)).exit_code
        try:
            simulate(path, overrides=options, verify=False)
        except InputError:
            outcomes.append((said, 2))
        else:
            outcomes.append((said, 0))
    assert (2, 0) not in outcomes
    assert {(2, 2), (0, 0)} <= set(outcomes)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lenet5", None, "a valid workload for sparsetrain and sparsetrain-dense"),
        ("ideal", None, "a valid architecture"),
        ("sweep.yaml", "name: s\nworkloads: [lenet5]\nparameters: {array.groups: [1, 2, 3]}\n",
         "a valid sweep of 3 points"),
    ],
)  # fmt: skip
def test_presets_and_sweeps_are_checked_too(name: str, text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    outcome = run_command(tmp_path, "validate", name)
    left = f"{LEFT_TO_SIMULATE}\n" if "workload" in words else ""
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, f"{name}: {words}\n{left}", "")


def test_an_architecture_with_an_unknown_technology_or_dataflow_is_no_valid_one(tmp_path: Path) -> None:
    shown = run_command(tmp_path, "show", "sparsetrain").stdout
    (tmp_path / "node.yaml").write_text(shown.replace("technology: 14nm", "technology: 7nm"))
    (tmp_path / "flow.yaml").write_text(shown.replace("dataflow: sparsetrain", "dataflow: systolic"))
    outcome = run_command(tmp_path, "validate", "node.yaml", "flow.yaml")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    first, second = outcome.stderr.splitlines()
    assert "7nm" in first
    assert second == "sparsetrain: unknown dataflow 'systolic'; registered are sparsetrain"


@pytest.mark.parametrize("given", ["none", ["none"], None, []])
def test_python_takes_no_baseline_as_the_command_line_does(given: str | list[str] | None, tmp_path: Path) -> None:
    path = tmp_path / write_small(tmp_path)
    run_command(tmp_path, "simulate", "small.yaml", "--baseline", "none", "--out", "command")
    result = simulate(path, baseline=given, out=tmp_path / "python")
    assert [machine.name for machine in result.machines] == ["sparsetrain"]
    digests = {hashlib.sha256((tmp_path / run / "steps.csv").read_bytes()).hexdigest() for run in ("command", "python")}
    assert len(digests) == 1


def test_python_splits_baselines_as_the_command_line_does_and_refuses_none_beside_others(tmp_path: Path) -> None:
    path = tmp_path / write_small(tmp_path)
    result = simulate(path, baseline="skipping-off,natural", verify=False)
    names = ["sparsetrain", "sparsetrain-dense", "sparsetrain-natural"]
    assert [machine.name for machine in result.machines] == names
    for given in (["none", "natural"], "none,natural"):
        with pytest.raises(InputError) as caught:
            simulate(path, baseline=given)
        assert str(caught.value) == "--baseline none leaves baselines out; it cannot stand beside others"
