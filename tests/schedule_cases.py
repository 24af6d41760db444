"""Learning rates over twenty iterations, compared with torch where it is installed, and with stored values."""

from __future__ import annotations

from typing import Any

from workloads.training.form import TrainingForm

ITERATIONS, EPOCH_ITERATIONS = 20, 4
LEARNING_RATE = 0.1
# A name, the schedule, torch's class behind the warm-up, its arguments, and how often it is stepped.
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any], int]] = [
    ("constant", {"method": "constant"}, "ConstantLR", {"factor": 1.0}, 1),
    ("constant_warmup", {"method": "constant", "warmup_epochs": 2}, "ConstantLR", {"factor": 1.0}, 1),
    ("steps", {"method": "step", "at_epochs": [1, 3]}, "MultiStepLR", {"milestones": [1, 3]}, EPOCH_ITERATIONS),
    (
        "steps_at_one_epoch", {"method": "step", "at_epochs": [4, 2, 2], "factor": 0.5},
        "MultiStepLR", {"milestones": [4, 2, 2], "gamma": 0.5}, EPOCH_ITERATIONS,
    ),
    (
        "every_two_epochs", {"method": "step", "every_epochs": 2, "factor": 0.3},
        "StepLR", {"step_size": 2, "gamma": 0.3}, EPOCH_ITERATIONS,
    ),
    (
        "step_warmup", {"method": "step", "every_epochs": 1, "factor": 0.5, "warmup_epochs": 1},
        "StepLR", {"step_size": 1, "gamma": 0.5}, EPOCH_ITERATIONS,
    ),
    ("cosine", {"method": "cosine"}, "CosineAnnealingLR", {"T_max": ITERATIONS}, 1),
    (
        "cosine_warmup", {"method": "cosine", "final": 0.05, "warmup_epochs": 2},
        "CosineAnnealingLR", {"T_max": ITERATIONS - 2 * EPOCH_ITERATIONS, "eta_min": 0.05 * LEARNING_RATE}, 1,
    ),
]  # fmt: skip


def list_rates(schedule: dict[str, Any]) -> list[float]:
    """Give the learning rate of every iteration."""
    optimiser = {"method": "sgd", "learning_rate": LEARNING_RATE}
    epochs = ITERATIONS // EPOCH_ITERATIONS
    form = TrainingForm.model_validate({"epochs": epochs, "optimiser": optimiser, "schedule": schedule})
    return [LEARNING_RATE * form.schedule.scale(one, EPOCH_ITERATIONS, epochs) for one in range(ITERATIONS)]
