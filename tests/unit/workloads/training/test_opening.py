"""From a workload to a training: what is taken from where, and what is refused, in one sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_trainings import (
    BATCH,
    LAYERS,
    OPERANDS,
    PRUNING,
    TEST_IMAGES,
    TRAIN_IMAGES,
    TRAINING,
    make_plan,
    write_training,
)

from sim import train
from sim.training.request import make_train_request
from workloads.errors import InputError
from workloads.host import initial_parameters
from workloads.npz_file import write_npz
from workloads.settings import GradientPruning
from workloads.training.opening import TrainingChoice, choose_pruning, open_training
from workloads.workload import load_workload

WORKLOADS_OWN = TrainingChoice()


def refuse(folder: Path, rest: str, *, layers: str = LAYERS, choice: TrainingChoice = WORKLOADS_OWN) -> str:
    path = write_training(folder, layers=layers, rest=rest)
    with pytest.raises(InputError) as error:
        open_training(load_workload(path), choice)
    return str(error.value).replace(str(path), "FILE").replace(str(folder), "FOLDER")


def edit(old: str, new: str, text: str = OPERANDS + TRAINING) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (
            OPERANDS,
            "FILE: has no section training; add one such as training: {epochs: 10, batch: 64, optimiser: "
            "{method: sgd, learning_rate: 0.05, momentum: 0.9}}",
        ),
        (
            TRAINING,
            "FILE: a training needs images, so operands: {source: host, dataset: ..., seed: ...}; they are not given",
        ),
        (
            "operands: {source: synthetic, seed: 1}\n" + TRAINING,
            "FILE: a training needs images, so operands: {source: host, dataset: ..., seed: ...}; they are synthetic",
        ),
        (edit("batch: 8", "batch: 41"), "FILE: training.batch is 41, but there are 40 training images"),
        (
            edit("  epochs: 4", "  epochs: 4\n  images: 7"),
            "FILE: training.batch is 8, but there are 7 training images",
        ),
        (
            edit("  epochs: 4", "  epochs: 4\n  images: 41"),
            "FILE: training.images is 41, but images has 40 train images",
        ),
        (
            edit("  epochs: 4", "  epochs: 4\n  test_images: 21"),
            "FILE: training.test_images is 21, but images has 20 test images",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(tmp_path: Path, rest: str, words: str) -> None:
    assert refuse(tmp_path, rest) == words


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "epochs: 4", "epoch: 4",
            "FILE, line 17: training: unknown field 'epoch'; did you mean 'epochs'? (the fields are epochs, batch, "
            "optimiser, schedule, augmentation, images, test_images, statistics_momentum, threads, record_every, "
            "simulate_at)",
        ),
        ("  batch: 8", "  batch: 0", "FILE, line 18: training.batch must be a whole number from 1 to 16777216, got 0"),
        (
            "momentum: 0.9", "momentun: 0.9",
            "FILE, line 19: training.optimiser: unknown field 'momentun'; did you mean 'momentum'? (the fields are "
            "method, learning_rate, momentum, weight_decay)",
        ),
        (
            "method: sgd", "method: sdg",
            "FILE, line 19: training.optimiser.method must be one of 'sgd', 'adam', 'adamw', got 'sdg'; did you mean "
            "'sgd'?",
        ),
        (
            "learning_rate: 0.1", "learning_rate: 0.0",
            "FILE, line 19: training.optimiser.learning_rate must be a number above 0.0, got 0.0",
        ),
        (
            "method: cosine", "method: linear",
            "FILE, line 20: training.schedule.method 'linear' is not supported; the kinds are constant, step, cosine",
        ),
        (
            "warmup_epochs: 1", "warmup_epochs: 5",
            "FILE, line 16: training: schedule.warmup_epochs must be at most the 4 epochs, got 5",
        ),
        ("threads: 1", "threads: 0", "FILE, line 22: training.threads must be a whole number from 1 to 256, got 0"),
        (
            "crop: 1", "crop: -1",
            "FILE, line 21: training.augmentation.crop must be a whole number from 0 to 4096, got -1",
        ),
        (
            "crop: 1", "crops: 1",
            "FILE, line 21: training.augmentation: unknown field 'crops'; did you mean 'crop'? (the fields are crop, "
            "flip, cutout)",
        ),
        (
            "crop: 1", "crop: 8",
            "FILE: training.augmentation.crop must be less than the sides of the 8 x 8 images, got 8",
        ),
        (
            "cutout: 2", "cutout: 99",
            "FILE: training.augmentation.cutout must be less than the sides of the 8 x 8 images, got 99",
        ),
        ("  batch: 8\n", "", "FILE: training.batch is 64, but there are 40 training images"),
        ("  epochs: 4\n", "", "FILE, line 16: training.epochs is missing; it must be a whole number from 1 to 1048576"),
    ],
)  # fmt: skip
def test_the_section_is_strict(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert refuse(tmp_path, edit(old, new)) == words


@pytest.mark.parametrize(
    ("rate", "given"), [(1.0, "1"), (-0.1, "-0.1"), (1e9, "1e+09"), (float("nan"), "nan"), (float("inf"), "inf")]
)
def test_a_rate_that_is_none_is_refused(tmp_path: Path, rate: float, given: str) -> None:
    message = f"a pruning rate must be at least 0 and below 1, got {given}"
    assert refuse(tmp_path, OPERANDS + TRAINING, choice=TrainingChoice(rate=rate)) == message


def test_a_rate_keeps_what_else_the_workload_says_of_pruning(tmp_path: Path) -> None:
    pruned, plain = (load_workload(write_training(tmp_path, rest=rest + OPERANDS)) for rest in (PRUNING, ""))
    assert choose_pruning(pruned, 0.75) == GradientPruning(rate=0.75, fifo_depth=3)
    assert choose_pruning(pruned, None) == GradientPruning(rate=0.5, fifo_depth=3)
    assert choose_pruning(plain, 0.75) == GradientPruning(rate=0.75)
    assert choose_pruning(pruned, 0.0) is choose_pruning(plain, 0.0) is choose_pruning(plain, None) is None


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train", "network 'small': labels of the loss 'loss' must be in 0..2, got 0..3"),
        ("test", "images.npz: its test images have the label 3, its training images only 0 to 2"),
        ("both", "network 'small': labels of the loss 'loss' must be in 0..2, got 0..3"),
    ],
)
def test_a_label_of_no_class_is_found_before_the_training(tmp_path: Path, split: str, words: str) -> None:
    # It is the last image's, which the first batch need not hold.
    arrays: dict[str, Any] = {}
    for name, images in (("train", TRAIN_IMAGES), ("test", TEST_IMAGES)):
        arrays[f"{name}_images"] = np.zeros((images, 1, 8, 8), np.uint8)
        arrays[f"{name}_labels"] = np.arange(images) % 3
        if split in (name, "both"):
            arrays[f"{name}_labels"][-1] = 3
    write_npz(tmp_path / "images.npz", arrays)
    assert refuse(tmp_path, OPERANDS + TRAINING) == words


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    rest = edit("images: {mean", "images: {padding: 1, mean")
    assert refuse(tmp_path, rest) == (
        "the images of images come out as 1 x 10 x 10 (channels x height x width), the network's input is 1 x 8 x 8; "
        "resize, padding and channels change the images"
    )


def test_a_network_without_a_loss_is_refused(tmp_path: Path) -> None:
    layers = LAYERS[: LAYERS.index("  - {name: loss")]
    assert refuse(tmp_path, OPERANDS + TRAINING, layers=layers) == (
        "FILE, line 14: operands: source host trains the network, which needs a loss; add a softmax_cross_entropy "
        "layer after 'fc'"
    )


def test_a_training_is_opened_with_its_own_seed_batch_and_weights(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, seed=9)
    assert (plan.seed, make_plan(tmp_path).seed) == (9, 5)
    assert (plan.network.input_shape[0], plan.train.batch) == (BATCH, BATCH)
    assert (plan.epoch_iterations, plan.iterations) == (5, 20)
    for name, values in initial_parameters(plan.network, 9).items():
        np.testing.assert_array_equal(plan.begin().parameters[name], values)
    write_npz(tmp_path / "begin.npz", initial_parameters(plan.network, 77))
    workload = load_workload(tmp_path / "small.yaml")
    begun = open_training(workload, TrainingChoice(weights=tmp_path / "begin.npz")).begin()
    np.testing.assert_array_equal(begun.parameters["fc/weight"], initial_parameters(plan.network, 77)["fc/weight"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prune": []}, "no rate of pruning is given; 0 trains without"),
        ({"prune": [0.5, 1.0]}, "a pruning rate must be at least 0 and below 1, got 1"),
        ({"prune": 0.5}, "prune must be a list of numbers from 0 to below 1, got 0.5"),
        ({"prune": "0.5"}, "prune must be a list of numbers from 0 to below 1, got '0.5'"),
        ({"prune": [True]}, "prune must be a list of numbers from 0 to below 1, got [True]"),
        ({"seeds": "2"}, "seeds must be a whole number from 1 to 1000, got 2"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 1000, got 0"),
        ({"seeds": 1001}, "seeds must be a whole number from 1 to 1000, got 1001"),
        ({"epochs": 0}, "FILE with --epochs 0: training.epochs must be a whole number from 1 to 1048576, got 0"),
        ({"batch": 0}, "FILE with --batch 0: training.batch must be a whole number from 1 to 16777216, got 0"),
        ({"simulate_images": 9},
         "FILE with --simulate-images 9: training.simulate_at.images must divide the 8 images of a batch, which the "
         "machine works in equal parts, got 9"),
        ({"simulate_every": 0},
         "FILE with --simulate-every 0: training.simulate_at.every_epochs must be a whole number from 1 to 1048576, "
         "got 0"),
        ({"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"sample": 2.0}, "sample must be auto, or a fraction above 0 and at most 1, got '2.0'"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    path = write_training(tmp_path)
    with pytest.raises(InputError) as error:
        make_train_request(path, "sparsetrain", options)  # type: ignore[arg-type]
    assert str(error.value).replace(str(path), "FILE") == words


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^train\(\) has no option 'rates'; the options are prune, seeds, "):
        train(write_training(tmp_path), out=tmp_path / "out", rates=[0.5])  # type: ignore[call-arg]
