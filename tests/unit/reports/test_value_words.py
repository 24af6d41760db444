"""What the terminal and the page say of stored values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports.run_files import load_run
from reports.run_page import build_run_page
from reports.run_parts import ROUNDED_COLUMNS, make_steps_table
from reports.tables import describe_run
from reports.value_words import describe_values
from sim.run import simulate


def row(layer: str, vanished: float | None, largest: float | None, relative: float | None) -> Any:
    """Give what a row of steps.csv tells of rounding."""
    return SimpleNamespace(
        layer=layer, step="gta", vanished_elements=vanished, saturated_elements=vanished, float32_max_error=largest,
        float32_relative_error=relative,
    )  # fmt: skip


def store(form: str, loss_scale: int = 1) -> dict[str, Any]:
    return {"storage": {"values": form, "loss_scale": loss_scale}}


PASS = row("pool", None, None, float("nan"))


def test_float32_and_ideal_machines_need_no_words() -> None:
    assert describe_values(store("float32"), [PASS]) == []
    assert describe_values({"storage": {}}, []) == describe_values({"storage": None}, []) == []


def test_a_sampled_run_tells_the_format_alone() -> None:
    assert describe_values(store("bf16"), [PASS]) == [
        "Values are stored as bf16; what rounding changes was not looked at."
    ]


def test_a_run_without_values_tells_what_became_of_operands() -> None:
    assert describe_values(store("fp16", 1024), [PASS, row("a", 1500, None, None), row("b", 2, None, None)]) == [
        "Values are stored as fp16, gradients times 1,024: of the operands of all steps, 1,502 nonzeros become zero "
        "and 1,502 elements saturate; no values were computed."
    ]


def test_the_worst_steps_are_named() -> None:
    rows = [row("a", 0, 0.5, 0.001), PASS, row("b", 0, 0.125, 0.25), row("c", 0, 0.0, None)]
    assert describe_values(store("int16"), rows) == [
        "Values are stored as int16: of the operands of all steps, 0 nonzeros become zero and 0 elements saturate; "
        "results differ from those of float32 by up to 0.5 (a gta), by a root mean square of up to 0.25 of their own "
        "(b gta)."
    ]
    assert "of up to 0 of their own (c gta)." in describe_values(store("int16"), rows[3:])[0]


@pytest.mark.parametrize("form", ["float32", "fp16"])
def test_the_page_and_the_last_words_tell_what_a_machine_rounds(form: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = simulate("lenet5", overrides=[f"storage.values={form}"], operands="synthetic", batch=1, out=out)
    run = load_run(out)
    _, tables = make_steps_table(run, "steps")
    shown = {one["name"] for one in tables["steps"]["columns"] if one["isShown"]}
    is_rounded = form != "float32"
    assert (set(ROUNDED_COLUMNS) <= shown) is is_rounded
    told = [words for words in describe_run(result) if words.startswith("Values are stored")]
    assert len(told) == is_rounded
    assert all(f"<p>{words}</p>" in build_run_page(run) for words in told)
