from __future__ import annotations

from pathlib import Path

import pytest
from unit.sweep.small_sweeps import load_text

from sim.sweep.space import Space, SpaceSize, load_space
from sim.sweep.values import Parameter, Range, Scale
from workloads.errors import InputError

HEAD = "name: s\nworkloads: [tiny.yaml]\n"


def settings_of(space: Space) -> list[dict[str, object]]:
    return [dict(design.point.settings) for design in space.designs()]


def test_a_grid_is_every_combination_and_what_changes_no_task_varies_fastest(tmp_path: Path) -> None:
    space = load_text(tmp_path, HEAD + "parameters: {dram.bytes_per_cycle: [4, 8], array.groups: [1, 2]}\n")
    assert settings_of(space) == [
        {"dram.bytes_per_cycle": dram, "array.groups": groups} for groups in (1, 2) for dram in (4, 8)
    ]
    assert space.measure() == SpaceSize(points=4, left_out=0)


def test_a_zip_takes_values_side_by_side(tmp_path: Path) -> None:
    text = HEAD + "combine: zip\nparameters: {array.groups: [4, 2], array.pes_per_group: [1, 2]}\n"
    assert settings_of(load_text(tmp_path, text)) == [
        {"array.groups": 4, "array.pes_per_group": 1},
        {"array.groups": 2, "array.pes_per_group": 2},
    ]


def test_a_list_is_its_points(tmp_path: Path) -> None:
    text = HEAD + "combine: list\npoints: [{array.groups: 4}, {array.groups: 2, batch: 2}]\n"
    space = load_text(tmp_path, text)
    assert settings_of(space) == [{"array.groups": 4}, {"array.groups": 2, "batch": 2}]
    assert [design.workload.form.batch for design in space.designs()] == [1, 2]
    assert space.paths == ("array.groups", "batch")


def test_random_points_depend_on_their_seed_and_place_alone(tmp_path: Path) -> None:
    def draw(samples: int, seed: int, more: str = "") -> list[dict[str, object]]:
        text = f"{HEAD}combine: random\nsamples: {samples}\nseed: {seed}\nparameters:\n"
        text += f"  dram.latency_cycles: {{from: 0, to: 1000}}\n{more}"
        return settings_of(load_text(tmp_path, text))

    assert draw(8, 1)[:5] == draw(5, 1)
    assert draw(8, 1) != draw(8, 2)
    both = draw(8, 1, "  array.groups: [1, 2, 3]\n")
    assert [{"dram.latency_cycles": point["dram.latency_cycles"]} for point in both] == draw(8, 1)


def test_random_points_are_as_many_as_asked_for_however_many_a_constraint_leaves_out(tmp_path: Path) -> None:
    text = HEAD + "combine: random\nsamples: 12\nparameters: {array.groups: {from: 1, to: 100}}\n"
    found = settings_of(load_text(tmp_path, text + "constraints: [array.groups % 7 == 0]\n"))
    assert len(found) == 12
    assert {point["array.groups"] % 7 for point in found} == {0}  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        settings_of(load_text(tmp_path, text + "constraints: [array.groups > 100]\n"))
    assert str(caught.value) == (
        "sweep.yaml: 12,000 random draws gave only 0 of 12 points that constraints and budgets allow; loosen them or "
        "lower samples"
    )


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("{from: 65536, to: 1048576, steps: 5, scale: log}", (2**16, 2**17, 2**18, 2**19, 2**20)),
        ("{from: 10, to: 40, steps: 4}", (10, 20, 30, 40)),
    ],
)
def test_a_range_is_cut_into_its_steps(given: str, values: tuple[int, ...], tmp_path: Path) -> None:
    space = load_text(tmp_path, f"{HEAD}parameters: {{buffer.operand_store_bytes: {given}}}\n")
    assert space.parameters == (Parameter("buffer.operand_store_bytes", values),)


def test_a_range_of_fractions_stays_one() -> None:
    assert [Range(0.5, 1, Scale.LINEAR).at(part) for part in (0, 0.5, 1)] == [0.5, 0.75, 1.0]
    assert Range(1.0, 16.0, Scale.LOG).at(0.5) == 4.0


def test_workload_paths_and_several_workloads_make_their_points(tmp_path: Path) -> None:
    text = "name: s\nworkloads: [tiny.yaml, lenet5]\nparameters: {operands.seed: [1, 2], batch: [1]}\n"
    designs = load_text(tmp_path, text).designs()
    found = [(design.workload.name, getattr(design.workload.form.operands, "seed", None)) for design in designs]
    assert sorted(found) == [("lenet5", 1), ("lenet5", 2), ("tiny", 1), ("tiny", 2)]


def test_a_path_of_a_workload_with_blocks_makes_its_points(tmp_path: Path) -> None:
    designs = list(load_text(tmp_path, "name: s\nworkloads: [resnet20]\nparameters: {batch: [1, 2]}\n").designs())
    assert [design.workload.form.batch for design in designs] == [1, 2]
    assert len({len(design.workload.network.nodes) for design in designs}) == 1


def test_chosen_operands_take_the_place_of_every_workloads_own_and_may_be_varied(tmp_path: Path) -> None:
    text = "name: s\nworkloads: [resnet18, alexnet]\noperands: profile\nparameters: {operands.seed: [1, 2]}\n"
    sources = [design.workload.form.operands for design in load_text(tmp_path, text).designs()]
    found = [
        (source.source, getattr(source, "name", None), getattr(source, "seed", None)) for source in sources if source
    ]
    assert sorted(found) == [
        ("profile", "alexnet", 1), ("profile", "alexnet", 2), ("profile", "resnet18", 1), ("profile", "resnet18", 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("operands", "words"),
    [
        ("profil", "operands must be synthetic or profile, got 'profil'; did you mean 'profile'?"),
        ("profile", "no profile is shipped for 'tiny'"),
    ],
)
def test_operands_that_a_workload_cannot_have_are_refused_with_the_workloads_line(
    tmp_path: Path, operands: str, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_text(tmp_path, f"{HEAD}operands: {operands}\nparameters: {{array.groups: [1]}}\n")
    assert str(caught.value).startswith("sweep.yaml, line 3: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["resnet18_accumulators", "alexnet_accumulators"])
def test_the_shipped_sweeps_of_accumulators_are_six_points_each(name: str) -> None:
    space = load_space(name)
    assert [point["array.accumulators"] for point in settings_of(space)] == [16, 32, 64, 128, 256, 512]


def test_a_budget_of_multipliers_sets_the_size_that_spends_all_of_them(tmp_path: Path) -> None:
    text = HEAD + "parameters: {array.pes_per_group: [1, 2, 3, 4, 5]}\n"
    text += "budgets: [{equal: multipliers, by: array.groups, value: 12}]\n"
    space = load_text(tmp_path, text)
    assert settings_of(space) == [{"array.pes_per_group": pes, "array.groups": 12 // pes} for pes in (1, 2, 3, 4)]
    assert space.measure() == SpaceSize(points=4, left_out=1)
    assert space.paths == ("array.pes_per_group", "array.groups")


def test_a_budget_of_area_stays_within_it_and_leaves_little(tmp_path: Path) -> None:
    from sim.sweep.design import find_area_mm2

    text = HEAD + "parameters: {array.groups: [8, 16, 32]}\nbudgets: [{equal: area_mm2, by: buffer.capacity_bytes}]\n"
    space = load_text(tmp_path, text)
    whole = find_area_mm2(space.designer.base_machine)
    assert whole is not None
    areas = [find_area_mm2(design.machine) for design in space.designs()]
    assert len(areas) == 3
    for area in areas:
        assert area is not None
        assert 0.98 * whole <= area <= whole


def test_the_first_invalid_point_of_a_space_is_named(tmp_path: Path) -> None:
    text = HEAD + "parameters: {buffer.capacity_bytes: [65536, 1099511627776], array.groups: [1]}\n"
    with pytest.raises(InputError) as caught:
        load_text(tmp_path, text).measure()
    start = "sweep.yaml: point (tiny.yaml: buffer.capacity_bytes = 1099511627776, array.groups = 1): "
    assert str(caught.value).startswith(start)
    assert "above the grid" in str(caught.value)
