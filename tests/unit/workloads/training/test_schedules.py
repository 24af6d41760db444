"""Schedules: twenty learning rates against those that torch gave, and settings that make no schedule."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from schedule_cases import CASES, EPOCH_ITERATIONS, ITERATIONS, LEARNING_RATE, list_rates

from workloads.training.form import TrainingForm
from workloads.training.schedules import ConstantSchedule, CosineSchedule, StepSchedule

WARMUP = [LEARNING_RATE * (one + 1) / (2 * EPOCH_ITERATIONS) for one in range(2 * EPOCH_ITERATIONS)]
# The rates of tests/schedule_cases.py by torch 2.13; those that are one number are its own formula.
COSINES = {
    "cosine": [
        0.1, 0.0993844170298, 0.0975528258148, 0.0945503262094, 0.0904508497187, 0.0853553390593, 0.0793892626146,
        0.072699524987, 0.0654508497187, 0.057821723252, 0.05, 0.042178276748, 0.0345491502813, 0.027300475013,
        0.0206107373854, 0.0146446609407, 0.00954915028125, 0.00544967379058, 0.00244717418524, 0.000615582970243,
    ],
    "cosine_warmup": [
        0.0125, 0.025, 0.0375, 0.05, 0.0625, 0.075, 0.0875, 0.1, 0.1, 0.0983814767487, 0.0936362066798, 0.0860875721064,
        0.07625, 0.0647939046424, 0.0525, 0.0402060953576, 0.02875, 0.0189124278936, 0.0113637933202, 0.00661852325127,
    ],
}  # fmt: skip
# Of each epoch, whose iterations have one rate.
EPOCHS = {
    "constant": [0.1] * 5,
    "steps": [0.1, 0.01, 0.01, 0.001, 0.001],
    "steps_at_one_epoch": [0.1, 0.1, 0.025, 0.025, 0.0125],
    "every_two_epochs": [0.1, 0.1, 0.03, 0.03, 0.009],
}
STORED = COSINES | {name: [rate for rate in rates for _ in range(EPOCH_ITERATIONS)] for name, rates in EPOCHS.items()}
STORED["constant_warmup"] = [*WARMUP, *[0.1] * (ITERATIONS - len(WARMUP))]
STORED["step_warmup"] = [0.025, 0.05, 0.075, *[0.1] * 5, *[0.05] * 4, *[0.025] * 4, *[0.0125] * 4]


@pytest.mark.parametrize(("name", "schedule"), [case[:2] for case in CASES])
def test_twenty_learning_rates_are_what_torch_gave(name: str, schedule: dict[str, Any]) -> None:
    # Twelve digits are stored.
    assert list_rates(schedule) == pytest.approx(STORED[name], rel=1e-11)


def test_a_warm_up_of_all_epochs_ends_with_the_whole_rate() -> None:
    rates = list_rates({"method": "cosine", "warmup_epochs": ITERATIONS // EPOCH_ITERATIONS})
    assert rates == pytest.approx([LEARNING_RATE * (one + 1) / ITERATIONS for one in range(ITERATIONS)])


def test_a_cosine_over_one_iteration_begins_with_the_whole_rate() -> None:
    assert CosineSchedule(method="cosine", final=0.25).scale(0, 1, 1) == 1


def test_a_factor_of_zero_ends_the_learning() -> None:
    schedule = StepSchedule(method="step", at_epochs=[1], factor=0.0)
    assert [schedule.scale(one, 2, 2) for one in range(4)] == [1, 1, 0, 0]


def test_a_constant_rate_needs_nothing_else() -> None:
    assert TrainingForm.model_validate(
        {"epochs": 1, "optimiser": {"method": "sgd", "learning_rate": 1}}
    ).schedule == ConstantSchedule(method="constant")


@pytest.mark.parametrize(
    ("schedule", "place", "words"),
    [
        ({"method": "step"}, ("step",), "Value error, a step schedule needs at_epochs or every_epochs, and not both"),
        (
            {"method": "step", "at_epochs": [1], "every_epochs": 1}, ("step",),
            "Value error, a step schedule needs at_epochs or every_epochs, and not both",
        ),
        (
            {"method": "step", "at_epochs": []}, ("step", "at_epochs"),
            "List should have at least 1 item after validation, not 0",
        ),
        ({"method": "step", "every_epochs": 0}, ("step", "every_epochs"),
         "Input should be greater than or equal to 1"),
        ({"method": "step", "every_epochs": 1, "factor": 1.5}, ("step", "factor"),
         "Input should be less than or equal to 1"),
        ({"method": "cosine", "final": -0.1}, ("cosine", "final"), "Input should be greater than or equal to 0"),
        ({"method": "cosine", "at_epochs": [1]}, ("cosine", "at_epochs"), "Extra inputs are not permitted"),
        ({"method": "constant", "warmup_epochs": -1}, ("constant", "warmup_epochs"),
         "Input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_settings_that_make_no_schedule_are_refused(
    schedule: dict[str, Any], place: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValidationError) as error:
        list_rates(schedule)
    (found,) = error.value.errors()
    assert (found["loc"], found["msg"]) == (("schedule", *place), words)


def test_a_warm_up_that_is_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ValidationError) as error:
        list_rates({"method": "constant", "warmup_epochs": 6})
    assert error.value.errors()[0]["msg"] == "Value error, schedule.warmup_epochs must be at most the 5 epochs, got 6"
