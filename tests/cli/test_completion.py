"""What the shell is offered, asked in this process."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cli.command import run_command, write_small
from click.shell_completion import ShellComplete

from reports.cli import main
from reports.completion import WholeWordBash
from workloads.presets import preset_names
from workloads.workload import load_workload


def complete(words: str, kind: type[ShellComplete] = ShellComplete) -> list[str]:
    """Give what is offered for the last word; a blank at the end begins a new one."""
    *arguments, incomplete = words.split(" ")
    found = kind(main, {}, "sparsetrain", "_SPARSETRAIN_COMPLETE").get_completions(arguments, incomplete)
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in found]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("simulate le", ["lenet5"]),
        ("simulate ./ne", ["<file>"]),
        ("simulate lenet5 --arch ideal-", ["ideal-dense"]),
        ("simulate lenet5 --arch my.y", ["<file>"]),
        ("simulate lenet5 --baseline n", ["natural", "none"]),
        ("simulate lenet5 --baseline pru", ["pruning@0.9"]),
        ("simulate lenet5 --baseline natural,ma", ["natural,mask"]),
        ("simulate lenet5 --baseline natural,n", ["natural,none"]),
        ("simulate lenet5 --set array.g", ["array.groups="]),
        ("simulate lenet5 --set dram.c", ["dram.channels="]),
        ("simulate lenet5 --set dram.k", ["dram.kind="]),
        ("simulate lenet5 --set dram.model=", ["dram.model=constant", "dram.model=banked"]),
        ("simulate lenet5 --set dram.timing=l", ["dram.timing=lpddr4-2400"]),
        ("simulate lenet5 --set array.groups=", ["array.groups=56"]),
        ("simulate lenet5 --set buffer.cell=", ["buffer.cell=hp", "buffer.cell=lstp"]),
        ("simulate lenet5 --set array.skip_weights=", ["array.skip_weights=false", "array.skip_weights=true"]),
        ("simulate lenet5 --set technology=", ["technology=14nm", "technology=45nm", "technology=null"]),
        ("simulate lenet5 --set no.such=", []),
        ("simulate lenet5 --arch none.yaml --set clock", ["clock_mhz="]),
        ("simulate lenet5 --steps ", ["forward", "gta", "gtw"]),
        ("simulate lenet5 --steps forward,g", ["forward,gta", "forward,gtw"]),
        ("simulate lenet5 --steps=ft", []),
        ("simulate lenet5 --engine ", ["simpy", "compiled"]),
        ("simulate lenet5 --operands ", ["synthetic", "profile"]),
        ("simulate lenet5 --layers c", ["conv1", "conv2"]),
        ("simulate none.yaml --layers c", []),
        ("simulate lenet5 --data cifar", ["cifar10:", "cifar100:"]),
        ("simulate lenet5 --sample a", ["auto"]),
        ("simulate lenet5 --weights w", ["<file>"]),
        ("simulate lenet5 --weights t", ["trained"]),
        ("train lenet5 --baseline pru", []),
        ("train lenet5 --baseline natural,ma", ["natural,mask"]),
        ("train lenet5 --host t", ["torch"]),
        ("show ideal", ["ideal", "ideal-dense"]),
        ("show ideal --set clock_mhz=", ["clock_mhz=800"]),
        ("technology 1", ["14nm"]),
        ("sweep lenet5_", ["lenet5_array"]),
        ("schema ar", ["architecture"]),
        ("validate le", ["lenet5"]),
        ("validate mine.yaml ../", ["<file>"]),
        ("val", ["validate"]),
    ],
)
def test_the_shell_is_offered_names_fields_and_values(words: str, offered: list[str]) -> None:
    assert complete(words) == offered


def test_every_field_that_can_be_set_is_offered_with_the_value_it_has() -> None:
    fields = complete("simulate lenet5 --set ")
    assert len(fields) == len(set(fields)) > 25
    assert {"technology=", "array.groups=", "buffer.ports=", "storage.acc_bits="} <= set(fields)
    items = ShellComplete(main, {}, "sparsetrain", "X").get_completions(
        ["simulate", "lenet5", "--arch", "dense", "--set"], "array.skip_z"
    )
    assert [(item.value, item.help) for item in items] == [("array.skip_zeros=", "false now")]


def test_layers_steps_and_machines_of_a_run_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal")
    monkeypatch.chdir(tmp_path)
    assert complete("explain out/") == ["out/small-ideal"]
    assert complete("report ") == ["out/small-ideal"]
    assert complete("explain out/small-ideal c") == ["conv1", "conv2"]
    assert complete("explain out/small-ideal conv1 g") == ["gta", "gtw"]
    assert complete("explain out/small-ideal conv1 gta --machine ") == ["ideal", "ideal-dense"]
    assert complete("explain nowhere c") == []
    (tmp_path / "out" / "small-ideal" / "steps.csv").write_bytes(b"layer\n\xff")
    assert complete("explain out/small-ideal c") == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["simulate", "lenet5", "--set", "array.gr"], "plain,array.groups="),
        (["simulate", "lenet5", "--set", "array.groups", "="], "plain,56"),
        (["simulate", "lenet5", "--set", "buffer.cell", "=", "l"], "plain,lstp"),
        (["simulate", "lenet5", "--baseline", "pruning", "@"], "plain,0.9"),
        (["simulate", "lenet5", "--set", "array.groups", "=", "28", "--arch", "ideal-"], "plain,ideal-dense"),
        (["simulate", "lenet5", "--engine", "=", "s"], "plain,simpy"),
    ],
)
def test_bash_which_cuts_words_at_equals_signs_is_offered_what_stands_behind(
    words: list[str], offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "COMP_WORDS", " ".join(["sparsetrain", *words]))
    monkeypatch.setitem(os.environ, "COMP_CWORD", str(len(words)))
    assert WholeWordBash(main, {}, "sparsetrain", "_SPARSETRAIN_COMPLETE").complete() == offered


@pytest.mark.parametrize("width", ["60", "80", "110"])
def test_no_summary_of_a_command_is_cut(width: str, tmp_path: Path) -> None:
    helped = run_command(tmp_path, "--help", columns=width).stdout
    assert "..." not in helped.partition("Commands:")[2]
    words = " ".join(helped.partition("Commands:")[2].split())
    for name, command in main.commands.items():
        assert command.help is not None
        assert f"{name} {' '.join(command.help.partition(chr(10) * 2)[0].split())}" in words
    items = ShellComplete(main, {}, "sparsetrain", "X").get_completions([], "")
    assert [item.value for item in items if (item.help or "").endswith("...")] == []


@pytest.mark.parametrize("width", ["60", "80", "160"])
def test_list_wraps_descriptions_and_cuts_none(width: str, tmp_path: Path) -> None:
    shown = run_command(tmp_path, "list", columns=width).stdout
    assert max(len(line) for line in shown.splitlines()) <= int(width)
    words = "".join(shown.split())
    for name in preset_names():
        # A line may end behind the dash of a compound.
        described = "".join(str(load_workload(name).form.description).split())
        assert f"{name}{described}" in words
    assert re.search(r"^  sparsetrain$", shown, flags=re.MULTILINE)
