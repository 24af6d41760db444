"""A training says how far it is; the clock is the test's."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from reports import progress_lines, training_teller
from reports.training_teller import Course, CourseBar, TrainingTeller, fit_course
from workloads.training.evaluation import Score
from workloads.training.loop import TrainingProgress
from workloads.training.record import BatchOutcome, EpochRecord, TensorRecord

EPOCHS, LENGTH = 3, 4
TOTAL = EPOCHS * LENGTH
TEST = Score(10, 0.5, 0.84)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(training_teller.time, "monotonic", made)
    monkeypatch.setattr(progress_lines.time, "monotonic", made)
    return made


def make_outcome(loss: float, accuracy: float | None = None, density: float | None = None) -> BatchOutcome:
    densities = {} if density is None else {("conv1", "grad_output"): density, ("conv1", "input"): 1.0}
    return BatchOutcome(loss, accuracy, {}, densities)


def end_iteration(number: int, outcome: BatchOutcome | None = None) -> TrainingProgress:
    """Make what is told behind an iteration, counted from 1."""
    return TrainingProgress((number - 1) // LENGTH + 1, EPOCHS, number, TOTAL, outcome or make_outcome(0.5))


def end_epoch(epoch: int, test: Score | None = TEST, accuracy: float | None = 0.852) -> TrainingProgress:
    tensors = (TensorRecord("conv1", "grad_output", 0.241), TensorRecord("conv1", "input", 1.0))
    record = EpochRecord(epoch, epoch * LENGTH, 0.1, 0.41, accuracy, test, tensors, ())
    return TrainingProgress(epoch, EPOCHS, epoch * LENGTH, TOTAL, None, record)


def run_epoch(teller: TrainingTeller, clock: Clock, epoch: int, name: str = "") -> None:
    """Run an epoch of which an iteration takes 3 s."""
    for number in range((epoch - 1) * LENGTH + 1, epoch * LENGTH + 1):
        clock.now += 3
        teller.update(end_iteration(number), name)
    teller.update(end_epoch(epoch), name)


def test_without_a_terminal_every_epoch_has_a_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    teller = TrainingTeller()
    for epoch in (1, 2, 3):
        run_epoch(teller, clock, epoch)
    scores = "loss 0.41  train 85.2 %  test 84.0 %  density 24.1 %"
    assert capsys.readouterr().err.splitlines() == [
        f"epoch 1/3  {scores}  took 12 s  24 s left",
        f"epoch 2/3  {scores}  took 12 s  12 s left",
        f"epoch 3/3  {scores}  took 12 s  0 s left",
    ]


def test_what_is_not_known_is_not_told(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    teller = TrainingTeller()
    clock.now += 12
    teller.update(end_epoch(1, test=None, accuracy=None))
    assert capsys.readouterr().err == "epoch 1/3  loss 0.41  density 24.1 %  took 12 s  24 s left\n"


def test_several_trainings_are_named_and_their_time_is_that_of_all(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = TrainingTeller(trainings=2)
    for name in ("rate 0, seed 1", "rate 0.9, seed 1"):
        for epoch in (1, 2, 3):
            run_epoch(teller, clock, epoch, name)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"rate {rate}, seed 1: epoch {epoch}/3" for rate in ("0", "0.9") for epoch in (1, 2, 3)
    ]
    assert [line.split("  ")[-2:] for line in lines] == [
        ["took 12 s", f"{left} s left"] for left in (60, 48, 36, 24, 12, 0)
    ]


def test_what_was_done_before_it_was_resumed_counts_for_the_share_and_not_for_the_pace(clock: Clock) -> None:
    teller = TrainingTeller()
    clock.now += 3
    teller.update(end_iteration(LENGTH + 1))
    assert teller.share == pytest.approx(5 / TOTAL)
    # One iteration took 3 s and 7 are left.
    assert teller.seconds_left(clock.now) == pytest.approx(21)


def test_a_training_that_had_ended_before_counts_as_done_and_has_no_line(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = TrainingTeller(trainings=2)
    teller.update(TrainingProgress(EPOCHS, EPOCHS, TOTAL, TOTAL, None), "a")
    assert capsys.readouterr().err == ""
    assert (teller.share, teller.seconds_left(clock.now)) == (0.5, None)
    run_epoch(teller, clock, 1, "b")
    # An epoch of the other one took 12 s and two are left.
    assert capsys.readouterr().err.endswith("  took 12 s  24 s left\n")


def test_trainings_beside_one_another_share_the_pace(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    teller = TrainingTeller(trainings=2)
    for number in (1, 2, 3, 4):
        clock.now += 3
        teller.update(end_iteration(number), "a")
        teller.update(end_iteration(number), "b")
    teller.update(end_epoch(1), "b")
    # 8 of 24 iterations took 12 s; the training's first iteration began unseen.
    assert capsys.readouterr().err.endswith("  took 9.0 s  24 s left\n")


def test_a_long_epoch_says_where_it_is_and_a_line_of_an_epoch_stands_in_for_it(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = TrainingTeller()
    clock.now += 11
    teller.update(end_iteration(1))
    teller._lines.tell()
    assert capsys.readouterr().err == (
        "sparsetrain: epoch 1/3, iteration 1/4, 8% done, 11 s so far, about 2 min left\n"
    )
    clock.now += 40
    teller.update(end_epoch(1))
    capsys.readouterr()
    teller._lines.tell()
    assert capsys.readouterr().err == ""
    clock.now += 31
    teller._lines.tell()
    assert capsys.readouterr().err.startswith("sparsetrain: epoch 1/3, 33% done, ")


def test_the_epoch_that_runs_is_told_by_its_means_so_far_and_the_test_of_the_last() -> None:
    course = Course("", 0.0, 0, TOTAL)
    course.note(end_epoch(1))
    course.note(end_iteration(LENGTH + 1, make_outcome(1.0, 0.5, 0.2)))
    course.note(end_iteration(LENGTH + 2, make_outcome(0.5, 1.0)))
    assert fit_course(course, 80) == "epoch 2/3  loss 0.75  train 75.0 %  test 84.0 %  density 20.0 %"


def test_a_narrow_terminal_goes_without_the_test_first_and_keeps_loss_and_density() -> None:
    course = Course("rate 0.99, seed 12", 0.0, 0, TOTAL)
    course.note(end_epoch(1))
    assert fit_course(course, 80) == "rate 0.99, seed 12: epoch 1/3  loss 0.41  train 85.2 %  density 24.1 %"
    assert fit_course(course, 60) == "rate 0.99, seed 12: epoch 1/3  loss 0.41  density 24.1 %"


def test_the_bar_tells_share_and_remaining_time_and_below_it_each_training_that_runs() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    courses = {name: Course(name, 0.0, 0, TOTAL) for name in ("rate 0, seed 1", "rate 0.9, seed 1")}
    for course, epochs in zip(courses.values(), (3, 1), strict=True):
        course.note(end_epoch(epochs))
    bar = CourseBar(console, courses)
    bar.show("1 of 2 trainings done", 2 / 3, "12 s left")
    with console.capture() as captured:
        for one in bar.get_renderables():
            console.print(one)
    first, *rest = captured.get().splitlines()
    assert first.startswith("1 of 2 trainings done ")
    assert first.rstrip().endswith(" 12 s left")
    assert rest == ["rate 0.9, seed 1: epoch 1/3  loss 0.41  train 85.2 %  density 24.1 %"]


def test_a_name_cannot_steer_the_terminal() -> None:
    course = Course("rate \x1b[2J", 0.0, 0, TOTAL)
    assert "\x1b" not in fit_course(course, 80)
