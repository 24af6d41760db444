from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from unit.sweep.small_sweeps import QuickEvaluator, count_evaluations, load_text, read_rows

from sim.sweep.claims import LEASE_S, Owner
from sim.sweep.execution import InlineExecutor
from sim.sweep.identity import Identifier
from sim.sweep.job import Job, Outcome, Status
from sim.sweep.reading import load_sweep, sort_points
from sim.sweep.space import Space
from sim.sweep.store import Store
from sim.sweep.sweep import SweepOptions, run_sweep
from workloads.errors import InputError
from workloads.workload import load_workload
from workloads.yaml_file import dump_yaml

KEPT = "every point that was stored before is kept, and the same command goes on from there"


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return load_text(tmp_path)


def run(space: Space, store: Path) -> None:
    run_sweep(space, store, executor=InlineExecutor(QuickEvaluator()))


def fail(job: Job) -> Outcome:
    return Outcome(job.key, Status.FAILED, "it broke")


def test_a_full_disk_is_one_sentence_and_keeps_what_was_stored(space: Space, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store.open(path, creates=True) as store:
        store.add_workload("first", {"name": "kept"})
        store.read("PRAGMA max_page_count = 20")
        with pytest.raises(InputError) as caught:
            store.add_workload("second", {"name": "x" * 400_000})
    assert str(caught.value) == f"{path}: the disk is full; {KEPT}"
    with Store.open(path) as store:
        assert store.read("SELECT digest FROM workloads WHERE digest = 'first'") == [("first",)]
    run(space, path)
    assert count_evaluations(path) == (24, 24)


def test_a_read_only_store_is_one_sentence(space: Space, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    run(space, path)
    with Store.open(path, creates=True) as store:
        store.read("PRAGMA query_only = ON")
        with pytest.raises(InputError) as caught:
            store.add_workload("other", {})
    assert str(caught.value) == (
        f"{path}: the store is read-only; make it and its folder writable, or choose another with --store"
    )


def test_a_store_below_a_file_is_refused(space: Space, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        run(space, tmp_path / "file" / "store.sqlite")
    assert str(caught.value).startswith(f"{tmp_path}/file/store.sqlite: its folder cannot be made: ")


def test_a_store_of_a_later_form_is_refused(space: Space, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    run(space, path)
    with Store.open(path) as store:
        store.read("PRAGMA user_version = 9")
    with pytest.raises(InputError) as caught:
        load_sweep(path)
    assert str(caught.value) == f"{path}: is a store of form 9; this version reads form 1"


def test_merging_takes_finished_points_for_failed_ones_and_is_done_once(space: Space, tmp_path: Path) -> None:
    failed, done = tmp_path / "failed.sqlite", tmp_path / "done.sqlite"
    run_sweep(space, failed, executor=InlineExecutor(fail))
    run(space, done)
    with Store.open(failed, creates=True) as target, Store.open(done) as source:
        assert target.merge(source) == 24
        assert target.merge(source) == 0
    with Store.open(done, creates=True) as target, Store.open(failed) as source:
        assert target.merge(source) == 0
    assert read_rows(failed) == read_rows(done)


def test_a_setting_that_is_a_number_here_and_text_there_is_read_sorted_and_merged(tmp_path: Path) -> None:
    lenet = load_workload("lenet5").document.data

    def sweep(name: str, *stds: float | list[float]) -> Path:
        names = [f"{name}{place}.yaml" for place in range(len(stds))]
        for file, std in zip(names, stds, strict=True):
            operands = {**lenet["operands"], "images": {"std": std}}
            (tmp_path / file).write_text(dump_yaml({**lenet, "operands": operands}))
        text = f"name: s\nworkloads: [{', '.join(names)}]\nparameters: {{array.groups: [1]}}\n"
        run(load_text(tmp_path, text), tmp_path / f"{name}.sqlite")
        return tmp_path / f"{name}.sqlite"

    both, number, texts = sweep("both", 0.5, [0.25]), sweep("number", 2.0), sweep("texts", [0.75])
    column = "operands.images.std"
    assert list(sort_points(load_sweep(both), column)[column]) == [0.5, "[0.25]"]
    assert list(sort_points(load_sweep([texts, number]), column)[column]) == [2.0, "[0.75]"]
    with Store.open(number, creates=True) as target, Store.open(texts) as source:
        assert target.merge(source) == 1
    assert list(sort_points(load_sweep(number), column)[column]) == [2.0, "[0.75]"]


def test_two_stores_are_read_as_one_with_finished_points_before_failed_ones(space: Space, tmp_path: Path) -> None:
    failed, done = tmp_path / "failed.sqlite", tmp_path / "done.sqlite"
    run_sweep(space, failed, executor=InlineExecutor(fail))
    run(space, done)
    expected = load_sweep(done)
    for order in ([failed, done], [done, failed]):
        assert load_sweep(order).equals(expected)


def test_a_claim_holds_while_its_process_lives_and_its_lease_lasts(tmp_path: Path) -> None:
    mine = Owner.current()
    other = Owner(f"{os.getppid()}@0.00")
    assert mine.name.startswith(f"{os.getpid()}@")
    assert Owner("x").respects(mine.name, time.time() + LEASE_S)
    assert not Owner("x").respects(mine.name, time.time() - 1)
    assert not mine.respects(other.name, time.time() + LEASE_S)
    with Store.open(tmp_path / "store.sqlite", creates=True) as store:
        assert store.claim(["a", "b"], mine) == ["a", "b"]
        assert store.claim(["b", "c"], Owner("x")) == ["c"]
        store.release_claims(mine)
        assert store.claim(["a"], Owner("x")) == ["a"]


def test_keys_change_with_everything_that_changes_the_answer(space: Space, tmp_path: Path) -> None:
    design = next(iter(space.designs()))

    def key(text: str = "", **changes: object) -> str:
        changed = load_text(tmp_path, "name: s\nworkloads: [tiny.yaml]\nparameters: {array.groups: [1]}\n" + text)
        return Identifier(changed.form).key(dataclasses.replace(design, **changes))  # type: ignore[arg-type]

    machine = design.machine
    other_form = design.workload.form.model_copy(update={"batch": 2})
    described = design.workload.form.model_copy(update={"description": "in other words"})
    keys = [
        key(),
        key("layers: conv\n"),
        key("steps: [forward]\n"),
        key(machine=machine.model_copy(update={"clock_mhz": 1})),
        key(machine=machine.model_copy(update={"technology": "45nm"})),
        key(workload=dataclasses.replace(design.workload, form=other_form)),
        key(baseline="skipping-off"),
        key(baseline=machine.without_skipping()),
    ]
    assert len(set(keys)) == len(keys)
    assert key(workload=dataclasses.replace(design.workload, form=described)) == key()


def test_keys_follow_the_content_of_data_files_and_not_their_place(tmp_path: Path) -> None:
    import numpy as np
    from unit.sweep.small_sweeps import WORKLOAD

    def key(folder: Path, value: float) -> str:
        folder.mkdir(exist_ok=True)
        np.savez(folder / "data.npz", x=np.full(3, value))
        text = WORKLOAD.partition("operands:")[0] + "operands: {source: recorded, path: data.npz}\n"
        (folder / "tiny.yaml").write_text(text)
        space = load_text(folder)
        return Identifier(space.form).key(next(iter(space.designs())))

    first = key(tmp_path / "a", 1.0)
    assert key(tmp_path / "b", 1.0) == first
    assert key(tmp_path / "a", 2.0) != first


def test_a_missing_data_file_is_found_before_the_first_point(tmp_path: Path) -> None:
    from unit.sweep.small_sweeps import WORKLOAD

    text = WORKLOAD.partition("operands:")[0] + "operands: {source: recorded, path: data.npz}\n"
    (tmp_path / "tiny.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        run_sweep(load_text(tmp_path), tmp_path / "store.sqlite", SweepOptions(), executor=InlineExecutor(fail))
    assert str(caught.value) == f"{tmp_path}/data.npz: there is no such file"
