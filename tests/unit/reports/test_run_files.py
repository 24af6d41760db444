from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from browser.small_runs import make_run

from reports.run_files import Run, load_run, read_actions
from sim.results.rows import describe_columns, make_frame
from sim.run import simulate
from sim.version import SCHEMA_VERSION
from workloads.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"), "full")


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    shutil.copytree(run.path, tmp_path / "run")
    return tmp_path / "run"


def test_a_run_is_read_as_it_was_simulated(run: Run) -> None:
    again = simulate(run.path / "workload.yaml", run.path / "architecture.yaml")
    written = make_frame(again.steps)
    assert run.frame["cycles"].tolist() == written["cycles"].tolist()
    assert run.frame["layer"].tolist() == written["layer"].tolist()
    assert run.machines == ["sparsetrain", "sparsetrain-dense"]
    assert run.layers() == ["conv1", "conv2", "fc"]


def test_actions_times_prices_are_the_energy_of_every_step(run: Run) -> None:
    actions = read_actions(run).set_index(["layer", "step", "machine"])
    assert len(actions) == len(run.frame)
    for row in run.frame.itertuples(index=False):
        lines = run.record["machines"][row.machine]["energy"]
        counts = actions.loc[(row.layer, row.step, row.machine)]
        parts = [
            line["pj_per_action"] * (row.cycles if line["component"] == "leakage" else counts[line["action"]])
            for line in lines
        ]
        # steps.csv holds nine digits.
        assert sum(parts) == pytest.approx(row.energy_pj, rel=1e-8)


def test_a_layer_named_like_a_missing_value_keeps_its_name(copy: Path) -> None:
    for name in ("run.json", "steps.csv"):
        (copy / name).write_text((copy / name).read_text().replace("conv1", "NA"))
    assert load_run(copy).layers() == ["NA", "conv2", "fc"]


def test_a_path_without_a_run_is_refused(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none", "is not a directory"),
        (tmp_path, "holds no run.json"),
    ):
        with pytest.raises(InputError) as caught:
            load_run(path)
        assert str(caught.value) == f"{path}: {words}; a run is the directory that 'sparsetrain simulate' wrote"


def test_a_record_of_another_form_is_refused(copy: Path) -> None:
    path = copy / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "schema_version": 99, "version": "9.9"}))
    with pytest.raises(InputError) as caught:
        load_run(copy)
    assert str(caught.value) == (
        f"{path}: was written by version 9.9 in form 99; this is version {record['version']} and reads form "
        f"{record['schema_version']}; simulate it again with this version"
    )


def test_a_run_of_the_first_form_which_had_no_operands_column_is_refused_by_its_form(copy: Path) -> None:
    path = copy / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "schema_version": 1}))
    rows = pd.read_csv(copy / "steps.csv", dtype=str, keep_default_na=False)
    rows.drop(columns="operands").to_csv(copy / "steps.csv", index=False)
    with pytest.raises(InputError) as caught:
        load_run(copy)
    version = record["version"]
    assert str(caught.value) == (
        f"{path}: was written by version {version} in form 1; this is version {version} and reads form 7; simulate it "
        "again with this version"
    )


def test_columns_do_not_change_without_a_new_form() -> None:
    names = ",".join(name for name, _, _ in describe_columns())
    assert (SCHEMA_VERSION, hashlib.sha256(names.encode()).hexdigest()[:12]) == (7, "f854903debd1")


def test_a_record_without_a_field_is_refused(copy: Path) -> None:
    path = copy / "run.json"
    record = json.loads(path.read_text())
    for name, words in (
        ("totals", "totals is missing; it must be a mapping of fields"),
        ("schema_version", "has no field 'schema_version'"),
    ):
        path.write_text(json.dumps({field: value for field, value in record.items() if field != name}))
        with pytest.raises(InputError) as caught:
            load_run(copy)
        assert str(caught.value) == f"{path}: {words}"


def test_a_record_that_is_no_json_is_refused_with_its_line(copy: Path) -> None:
    path = copy / "run.json"
    path.write_text("{\n")
    with pytest.raises(InputError) as caught:
        load_run(copy)
    assert str(caught.value).startswith(f"{path}: line 2: is not JSON (")


def test_a_table_without_a_column_is_refused(copy: Path) -> None:
    path = copy / "steps.csv"
    path.write_text(path.read_text().replace("tiles", "tails", 1))
    with pytest.raises(InputError) as caught:
        load_run(copy)
    assert str(caught.value) == f"{path}: has no column 'tiles'"


def test_a_table_of_another_run_is_refused(copy: Path) -> None:
    path = copy / "steps.csv"
    path.write_text(path.read_text().replace("sparsetrain-dense", "other"))
    with pytest.raises(InputError) as caught:
        load_run(copy)
    assert str(caught.value) == (
        f"{path}: the row of conv1 forward on other: is of a machine that run.json does not name; it names "
        "sparsetrain, sparsetrain-dense"
    )


def test_a_run_without_actions_is_refused_where_they_are_needed(copy: Path) -> None:
    (copy / "actions.csv").unlink()
    with pytest.raises(InputError) as caught:
        read_actions(load_run(copy))
    assert str(caught.value) == f"{copy}: holds no actions.csv; simulate it again with this version"


def test_a_run_shows_itself_in_a_notebook_as_an_escaped_table(run: Run) -> None:
    shown = dataclasses.replace(run, frame=run.frame.replace("conv1", "<b>"))._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<td><b></td>" not in shown
