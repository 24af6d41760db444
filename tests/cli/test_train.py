"""The command that trains: what it leaves, how it goes on, and how it ends where something cannot be used."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from cli.command import Outcome, run_command
from small_trainings import LAYERS, OPERANDS, PRUNING, TRAINING, write_training

from reports.train_command import tell_command, train
from sim import read_training

TABLES = ("epochs", "machines", "runs", "sites", "table", "tensors")
UNUSED = "{} is of the machine, and with --no-simulate none executes anything; leave one out"
SHORT = ("train", "small.yaml", "--no-simulate", "--epochs", "1", "--no-page")


def refuse(folder: Path, *arguments: str, rest: str = OPERANDS + PRUNING + TRAINING) -> str:
    """Run a command that ends with one sentence and exit code 2, and leaves nothing but what was there."""
    write_training(folder, rest=rest)
    before = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    outcome = run_command(folder, *arguments)
    assert (outcome.exit_code, outcome.stdout, list(outcome.files)) == (2, "", before)
    assert outcome.stderr.startswith("sparsetrain: ")
    assert outcome.stderr.endswith("\n")
    return " ".join(outcome.stderr.removeprefix("sparsetrain: ").split())


def run_short(folder: Path, *arguments: str) -> Outcome:
    outcome = run_command(folder, *SHORT, *arguments)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prune", "1.0"), "a pruning rate must be at least 0 and below 1, got 1"),
        (("--prune", "0,-0.5"), "a pruning rate must be at least 0 and below 1, got -0.5"),
        (("--prune", "0,,1"), "--prune must be numbers from 0 to below 1 with commas between them, got '0,,1'"),
        (("--prune", "nan"), "--prune must be numbers from 0 to below 1 with commas between them, got 'nan'"),
        (("--prune", ""), "--prune must be numbers from 0 to below 1 with commas between them, got ''"),
        (("--seeds", "0"), "seeds must be a whole number from 1 to 1000, got 0"),
        (("--jobs", "0"), "jobs must be at least 1, got 0"),
        (("--images", "41"), "small.yaml with --images 41: training.images is 41, but images has 40 train images"),
        (
            ("--test-images", "21"),
            "small.yaml with --test-images 21: training.test_images is 21, but images has 20 test images",
        ),
        (("--batch", "41"), "small.yaml with --batch 41: training.batch is 41, but there are 40 training images"),
        (
            ("--epochs", "0"),
            "small.yaml with --epochs 0: training.epochs must be a whole number from 1 to 1048576, got 0",
        ),
        (("--host", "nunpy"), "--host must be numpy or torch, got 'nunpy'; did you mean 'numpy'?"),
        (("--weights", "none.npz"), "none.npz: there is no such file"),
        (("--resume",), "--resume: there is no training in out/train-small"),
        (("--out", "images.npz"), "--out images.npz: is a file; a folder is needed"),
        (("--out", "."), "--out .: holds other files; choose another folder, or an empty one"),
        (("--arch", "dense"), UNUSED.format("--arch")),
        (("--set", "array.groups=4"), UNUSED.format("--set")),
        (("--baseline", "none"), UNUSED.format("--baseline")),
        (("--sample", "auto"), UNUSED.format("--sample")),
        (("--simulate-every", "1"), UNUSED.format("--simulate-every")),
        (("--simulate-images", "4"), UNUSED.format("--simulate-images")),
        (("--weights-type", "float16"), "--weights-type is of the file that --save-weights names, and none is named"),
        (
            ("--save-weights", "new.npz", "--save-profile", "./new.npz"),
            "--save-weights and --save-profile name the same file",
        ),
        (
            ("--resume", "--overwrite"),
            "--resume goes on with a training that is there, and --overwrite replaces it; leave one out",
        ),
        (
            ("--save-weights", "w.npz", "--test-images", "0"),
            "--save-weights w.npz: the record of weights tells their accuracy on test images, and none are evaluated",
        ),
        (("--save-weights", "none/at/all/", "--out", "images.npz"), "--out images.npz: is a file; a folder is needed"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    assert refuse(tmp_path, "train", "small.yaml", "--no-simulate", *arguments) == words


def test_a_workload_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    assert refuse(tmp_path, "train", "small.yaml", rest=OPERANDS) == (
        "small.yaml: has no section training; add one such as training: {epochs: 10, batch: 64, optimiser: "
        "{method: sgd, learning_rate: 0.05, momentum: 0.9}}"
    )
    assert refuse(tmp_path, "train", "small.yaml", rest=TRAINING) == (
        "small.yaml: a training needs images, so operands: {source: host, dataset: ..., seed: ...}; they are not given"
    )


def test_a_training_leaves_its_tables_and_goes_on_from_its_checkpoints(tmp_path: Path) -> None:
    write_training(tmp_path)
    first = run_short(tmp_path, "--prune", "0,0.5")
    folder = "out/train-small"
    runs = [f"{folder}/runs/rate{rate}-seed5/checkpoint.npz" for rate in ("0", "0.5")]
    tables = [f"{folder}/{name}.csv" for name in TABLES]
    assert {*runs, *tables, f"{folder}/training.json"} <= set(first.files)
    assert not any("partial" in name or "index.html" in name for name in first.files)
    before = {name: (tmp_path / name).read_bytes() for name in first.files}
    again = run_short(tmp_path, "--prune", "0,0.5", "--resume")
    assert again.stdout == first.stdout
    assert {name: (tmp_path / name).read_bytes() for name in again.files} == before


def test_a_training_of_other_inputs_is_replaced_on_demand_alone(tmp_path: Path) -> None:
    write_training(tmp_path)
    run_short(tmp_path, "--prune", "0")
    assert refuse(tmp_path, *SHORT, "--prune", "0", "--epochs", "2") == (
        "--out out/train-small: holds a training with other inputs: workload.training.epochs is 1 there, 2 here; "
        "choose another folder, or give --overwrite"
    )
    run_short(tmp_path, "--prune", "0", "--epochs", "2", "--overwrite")


def test_a_training_that_diverges_is_told_with_exit_code_2(tmp_path: Path) -> None:
    huge = OPERANDS + TRAINING.replace("learning_rate: 0.1", "learning_rate: 1.0e+30")
    write_training(tmp_path, rest=huge)
    outcome = run_command(tmp_path, *SHORT, "--prune", "0")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert " ".join(outcome.stderr.split()) == (
        "sparsetrain: the training diverges in iteration 2 of epoch 1: the loss of network 'small' is nan; its weights "
        "or images are too large; no epoch was completed; a lower learning_rate or a longer warm-up may help"
    )


def test_what_a_training_that_diverges_reached_is_kept_and_is_no_result(tmp_path: Path) -> None:
    # One iteration an epoch: it is the second one that meets the weights behind the first update.
    path = write_training(tmp_path, layers=LAYERS, rest=OPERANDS + TRAINING)
    text = path.read_text().replace("batch: 8", "batch: 40").replace("learning_rate: 0.1", "learning_rate: 1.0e+36")
    path.write_text(text.replace("warmup_epochs: 1", "warmup_epochs: 0"))
    outcome = run_command(tmp_path, "train", "small.yaml", "--no-simulate", "--prune", "0")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    _, *words = outcome.stderr.splitlines()
    assert " ".join(words) == (
        "sparsetrain: the training diverges in iteration 1 of epoch 2: the loss of network 'small' is nan; its weights "
        "or images are too large; the checkpoint behind epoch 1 stays in "
        "out/train-small/runs/rate0-seed5/checkpoint.npz; a lower learning_rate or a longer warm-up may help"
    )
    assert {"out/train-small/runs/rate0-seed5/checkpoint.npz", "out/train-small/epochs.csv"} <= set(outcome.files)
    study = read_training(tmp_path / "out" / "train-small")
    assert (study.record["status"], study.epochs["epoch"].tolist()) == ("failed", [1])
    assert study.table[["seeds", "reached"]].to_numpy().tolist() == [[0, 0]]
    report = run_command(tmp_path, "report", "out/train-small", "-o", "page.html")
    assert (report.exit_code, report.stderr) == (2, "sparsetrain: runs.csv: no training of this folder has ended\n")


def test_a_training_that_fails_is_told_behind_the_results_of_the_others(tmp_path: Path) -> None:
    write_training(tmp_path)
    run_short(tmp_path, "--prune", "0,0.5")
    checkpoint = "out/train-small/runs/rate0.5-seed5/checkpoint.npz"
    (tmp_path / checkpoint).write_text("damaged")
    outcome = run_command(tmp_path, *SHORT, "--prune", "0,0.5")
    assert outcome.exit_code == 1
    assert "At rate 0.5" not in outcome.stdout
    assert "Without pruning (rate 0), test accuracy is " in outcome.stdout
    assert outcome.stderr.splitlines()[-1] == (
        f"rate0.5-seed5: {checkpoint}: is not an .npz file; a zip archive of .npy arrays, as numpy.savez writes it, is "
        "expected"
    )


def test_a_data_set_without_test_images_is_trained_on_demand(tmp_path: Path) -> None:
    write_training(tmp_path)
    with np.load(tmp_path / "images.npz") as arrays:
        kept = {name: arrays[name] for name in ("train_images", "train_labels")}
    np.savez(tmp_path / "images.npz", **kept)
    assert refuse(tmp_path, *SHORT) == (
        "images.npz: has no split 'test': the array 'test_images' is missing; the file holds train_images, train_labels"
    )
    outcome = run_short(tmp_path, "--test-images", "0", "--prune", "0,0.5", "--page")
    assert "Without pruning (rate 0), accuracy on the training images is " in outcome.stdout
    assert "; there are no test images." in outcome.stdout
    study = read_training(tmp_path / "out" / "train-small")
    assert study.epochs[["test_loss", "test_accuracy"]].isna().all(axis=None)
    assert study.epochs["accuracy"].notna().all()
    refused = run_command(tmp_path, *SHORT, "--test-images", "-1")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "sparsetrain: small.yaml with --epochs 1 --test-images -1: training.test_images must be a whole number from 0 "
        "to 16777216, got -1\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lenet5", "--out", "there", "--jobs", "2", "--no-page", "--wide", "--overwrite"), "lenet5"),
        (("a folder/own net.yaml", "--prune", "0,0.9"), "'own net.yaml' --prune 0,0.9"),
        (
            ("lenet5", "--set", "array.groups=4", "--set", "buffer.ports=4", "--no-simulate"),
            "lenet5 --set array.groups=4 --set buffer.ports=4 --no-simulate",
        ),
        (
            ("lenet5", "--arch", "/here/own.yaml", "--baseline", "dense,/here/b.yaml", "--baseline", "mask"),
            "lenet5 --arch own.yaml --baseline dense,b.yaml --baseline mask",
        ),
        (
            ("lenet5", "--data", "npz:/here/my images.npz", "--save-weights", "there/w.npz", "--save-profile", "p.csv"),
            "lenet5 --data 'npz:my images.npz' --save-weights w.npz --save-profile p.csv",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_the_command_that_makes_a_file_anew_is_one_that_a_shell_reads(arguments: tuple[str, ...], words: str) -> None:
    context = train.make_context("train", list(arguments))
    told = tell_command(context)
    assert told == f"sparsetrain train {words}"
    again = train.make_context("train", shlex.split(told)[2:])
    assert tell_command(again) == told
