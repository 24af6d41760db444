"""A machine that was overridden says so in its name."""

from __future__ import annotations

import pytest

from sim.architecture import Architecture, list_architectures, load_architecture, override_architecture
from sim.iteration.policies import choose_contenders
from sim.machine_names import CHANGES_CHARACTERS, write_safely

LONG = ("buffer.capacity_bytes=65536", "buffer.ports=16", "dram.bytes_per_cycle=64", "array.groups=28", "clock_mhz=500")


@pytest.mark.parametrize(
    ("preset", "overrides", "name"),
    [
        ("sparsetrain", (), "sparsetrain"),
        ("sparsetrain", ("array.groups=28",), "sparsetrain[array.groups=28]"),
        ("sparsetrain", ("array.groups=56", "ppu.elements_per_cycle=1"), "sparsetrain"),
        ("sparsetrain", ("array.groups=28", "array.groups=56"), "sparsetrain"),
        ("sparsetrain", ("dram.bytes_per_cycle=64", "array.groups=28"),
         "sparsetrain[array.groups=28,dram.bytes_per_cycle=64]"),
        ("sparsetrain", ("array.groups=28", "dram.bytes_per_cycle=64"),
         "sparsetrain[array.groups=28,dram.bytes_per_cycle=64]"),
        ("sparsetrain", ("buffer={ports: 16, keep_on_chip: true}",), "sparsetrain[buffer.ports=16]"),
        ("sparsetrain", ("buffer.ports=null", "array.skip_zeros=false"),
         "sparsetrain[array.skip_zeros=false,buffer.ports=null]"),
        ("sparsetrain", ("array.groups=28", "name=mine"), "mine"),
        ("ideal", ("dataflow=whole-image",), "ideal[dataflow=whole-image]"),
    ],
)  # fmt: skip
def test_a_name_tells_what_differs_from_the_preset_in_the_order_of_the_form(
    preset: str, overrides: tuple[str, ...], name: str
) -> None:
    assert load_architecture(preset, overrides).name == name


def test_overrides_of_an_overridden_machine_are_told_beside_its_preset() -> None:
    machine = load_architecture("sparsetrain", ("array.groups=28", "dram.bytes_per_cycle=64"))
    changed = override_architecture(machine, None, ("array.groups=56", "clock_mhz=900"))
    assert changed.name == "sparsetrain[clock_mhz=900,dram.bytes_per_cycle=64]"
    assert override_architecture(machine, None, ("array.groups=56", "dram.bytes_per_cycle=32")).name == "sparsetrain"


def test_overrides_of_a_machine_that_no_preset_knows_are_added_to_what_its_name_tells() -> None:
    base = Architecture(name="mine[array.groups=28]-dense")
    assert override_architecture(base, None, ("array.groups=3",)).name == "mine[array.groups=3]-dense"
    assert override_architecture(base, None, ("clock_mhz=3",)).name == "mine[array.groups=28,clock_mhz=3]-dense"


def test_many_changes_are_counted_and_told_apart_by_a_digest() -> None:
    names = {load_architecture("sparsetrain", (*LONG, f"dram.latency_cycles={cycles}")).name for cycles in range(5)}
    assert len(names) == 5
    for name in names:
        assert name.startswith("sparsetrain[clock_mhz=500,array.groups=28,buffer.capacity_bytes=65536,+3~")
        assert len(name) <= len("sparsetrain[]") + CHANGES_CHARACTERS
        assert Architecture(name=name).name == name


def test_text_that_a_name_cannot_hold_is_told_by_its_digest() -> None:
    texts = ["/some/where/my table.yaml", "/else/where/my table.yaml", "[x]", "a,b", "\n", "ü" * 300]
    written = [write_safely(text) for text in texts]
    assert written[0] == "my-table.yaml~64089ffa"
    assert len(set(written)) == len(texts)
    assert all(Architecture(name=f"x[{word}]") for word in written)


def test_baselines_of_an_overridden_machine_follow_it() -> None:
    contenders = choose_contenders(
        "sparsetrain", ["skipping-off", "natural", "pruning@0.5", "sparsetrain"], ("array.groups=28",)
    )
    root = "sparsetrain[array.groups=28]"
    names = [one.machine.name for one in contenders]
    assert names == [root, f"{root}-dense", f"{root}-natural", f"{root}-pruning-0.5", "sparsetrain"]
    assert [one.machine.array.groups for one in contenders] == [28, 28, 28, 28, 56]


def test_overrides_of_a_machine_given_as_a_record_are_applied() -> None:
    (contender,) = choose_contenders(load_architecture("ideal"), None, ("array.groups=3",))
    assert (contender.machine.name, contender.machine.array.groups) == ("ideal[array.groups=3]", 3)


def test_every_preset_keeps_its_name() -> None:
    assert [load_architecture(preset.name).name for preset in list_architectures()] == [
        preset.name for preset in list_architectures()
    ]
