"""What a command prints cannot steer the terminal, and running out of memory is a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from cli.command import run_command, write_small
from rich.table import Table

from reports.console import Console
from workloads import memory


def test_tables_and_lines_show_control_characters_as_escapes() -> None:
    file = io.StringIO()
    console = Console(file=file, width=60)
    table = Table("a\x1b[1mb")
    table.add_row("\u202ex\x07")
    console.print(table)
    console.print("line\x1b[2J", "[bold]one[/nothing]")
    shown = file.getvalue()
    assert shown.replace("\n", "").isprintable()
    assert r"a\x1b[1mb" in shown
    assert r"\u202ex" in shown
    assert r"line\x1b[2J [bold]one[/nothing]" in shown


def test_a_folder_with_a_steering_name_is_shown_escaped(tmp_path: Path) -> None:
    options = ("--arch", "ideal", "--baseline", "none", "--no-verify", "--layers", "fc", "--out", "a\x1b[1m[/b]")
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), *options)
    assert outcome.exit_code == 0
    assert outcome.stdout.replace("\n", "").isprintable()
    assert r"a\x1b[1m[/b]/run.json" in outcome.stdout


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("Unable to allocate 8.00 GiB for an array with shape (2147483648,) and data type float32",
         ": Unable to allocate 8.00 GiB for an array with shape (2147483648,) and data type float32"),
        ("", ""),
    ],
)  # fmt: skip
def test_running_out_of_memory_says_what_was_asked_for_and_what_there_is(
    words: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: object, **__: object) -> None:
        raise MemoryError(words)

    monkeypatch.setattr("sim.iteration.options.choose_contenders", run_out)
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 * 2**29)
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path))
    assert outcome.stderr == (
        f"sparsetrain: the memory does not suffice{asked}; 1.5 GiB are available; "
        "try a smaller --batch, --sample auto, --no-verify or --memory-limit\n"
    )
    assert (outcome.exit_code, outcome.stdout, outcome.files) == (2, "", ("small.yaml",))


def test_bad_usage_of_the_whole_command_is_one_sentence(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "--xyz\x1b[1m")
    assert outcome.stderr == "sparsetrain: No such option '--xyz\\x1b[1m'. (see 'sparsetrain --help')\n"
    assert (outcome.exit_code, outcome.stdout) == (2, "")


def test_the_command_alone_still_shows_its_help(tmp_path: Path) -> None:
    outcome = run_command(tmp_path)
    assert "Usage: sparsetrain" in outcome.stdout + outcome.stderr
