"""The commands beside `simulate`: help, version, list, show, validate, schema, columns, completion."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from cli.command import SMALL, run_command, write_small

from reports.cli import main
from reports.validate_command import LEFT_TO_SIMULATE
from sim.architecture import list_architectures, load_architecture
from sim.results.rows import describe_columns, make_columns_tables
from workloads.blocks import BlockLayer
from workloads.layers import StrictModel
from workloads.presets import preset_names
from workloads.workload import load_workload

SIMULATE_OPTIONS = (
    "--arch", "--baseline", "--set", "--steps", "--layers", "--batch", "--seed", "--no-verify", "--jobs", "--out",
    "--save-outputs",
)  # fmt: skip


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "--version")
    assert outcome.stdout == f"sparsetrain, version {version('sparsetrain')}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, flag)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("Usage: sparsetrain [OPTIONS] COMMAND [ARGS]...\n")
    named = re.findall(r"^  ([a-z-]+)  ", outcome.stdout.partition("Commands:")[2], flags=re.MULTILINE)
    assert set(named) == set(main.commands)
    assert {"simulate", "list", "show", "validate", "schema", "columns", "completion"} <= set(named)


def test_help_of_simulate_explains_every_option(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", "--help")
    assert outcome.exit_code == 0
    for option in SIMULATE_OPTIONS:
        assert re.search(rf"^  {option}\b.*\S", outcome.stdout, flags=re.MULTILINE), option
    for parameter in main.commands["simulate"].params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_an_unknown_command_is_named(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "xyzzy")
    assert outcome.stderr == "sparsetrain: No such command 'xyzzy'. (see 'sparsetrain --help')\n"
    assert outcome.exit_code == 2


def test_list_names_every_preset_with_its_description(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "list")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    titles = re.findall(r"^(\w+):$", outcome.stdout, flags=re.MULTILINE)
    assert {"Workloads", "Architectures", "Dataflows", "DRAM", "Datasets"} <= set(titles)
    assert re.search(r"^  lpddr4-2400 +LPDDR4-2400, four 16-bit devices", outcome.stdout, flags=re.MULTILINE)
    for name in (*preset_names(), *(preset.name for preset in list_architectures())):
        assert re.search(rf"^  {re.escape(name)} +\S", outcome.stdout, flags=re.MULTILINE), name
    assert re.search(r"^  sparsetrain$", outcome.stdout, flags=re.MULTILINE)
    assert re.search(r"^  fashion_mnist\b", outcome.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("name", preset_names())
def test_what_show_prints_of_a_workload_loads_as_the_same_workload(name: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "show", name)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    (tmp_path / "shown.yaml").write_text(outcome.stdout)
    assert load_workload(tmp_path / "shown.yaml").resolved() == load_workload(name).resolved()
    outcome = run_command(tmp_path, "validate", "shown.yaml", "--arch", "ideal", "--baseline", "none")
    assert outcome.stdout == f"shown.yaml: a valid workload for ideal\n{LEFT_TO_SIMULATE}\n"


@pytest.mark.parametrize("name", [preset.name for preset in list_architectures()])
def test_what_show_prints_of_an_architecture_loads_as_the_same_architecture(name: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "show", name, "--set", "array.groups=28")
    (tmp_path / "shown.yaml").write_text(outcome.stdout)
    assert load_architecture(tmp_path / "shown.yaml") == load_architecture(name, ("array.groups=28",))
    assert load_architecture(tmp_path / "shown.yaml").array.groups == 28
    assert run_command(tmp_path, "show", "shown.yaml").stdout == outcome.stdout
    assert run_command(tmp_path, "validate", "shown.yaml").stdout == "shown.yaml: a valid architecture\n"


SHOW_ERRORS = [
    (["nothing"], "'nothing' is neither a file nor a preset (the presets are {presets})"),
    (["nothing.yaml"], "nothing.yaml: there is no such file"),
    (["lenet5", "--set", "batch=2"], "--set changes architectures; 'lenet5' is a workload"),
    (
        ["ideal", "--set", "array.groups=x"],
        "--set array.groups=x: array.groups must be a whole number from 1 to 1048576, got 'x'",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), SHOW_ERRORS)
def test_show_refuses_what_it_cannot_resolve(arguments: list[str], message: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "show", *arguments)
    presets = ", ".join([*preset_names(), *(preset.name for preset in list_architectures())])
    assert outcome.stderr == f"sparsetrain: {message.replace('{presets}', presets)}\n"
    assert (outcome.exit_code, outcome.stdout) == (2, "")


def test_validate_judges_every_file_and_fails_if_one_is_bad(tmp_path: Path) -> None:
    write_small(tmp_path)
    (tmp_path / "bad.yaml").write_text(SMALL.replace("batch: 2", "batch: 0"))
    (tmp_path / "machine.yaml").write_text("name: mine\n")
    (tmp_path / "worse.yaml").write_text("name: mine\nclock_mhz: 0\n")
    names = ["bad.yaml", "small.yaml", "worse.yaml", "machine.yaml", "none.yaml"]
    outcome = run_command(tmp_path, "validate", *names)
    assert outcome.exit_code == 2
    assert outcome.stdout == (
        "small.yaml: a valid workload for sparsetrain and sparsetrain-dense\nmachine.yaml: a valid architecture\n"
        f"{LEFT_TO_SIMULATE}\n"
    )
    assert outcome.stderr == (
        "sparsetrain: bad.yaml, line 2: batch must be a whole number from 1 to 16777216, got 0\n"
        "sparsetrain: worse.yaml, line 2: clock_mhz must be a whole number from 1 to 100000, got 0\n"
        "sparsetrain: none.yaml: there is no such file\n"
    )
    assert run_command(tmp_path, "validate", "small.yaml", "machine.yaml").exit_code == 0


def test_validate_without_a_file_says_what_is_missing(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "validate")
    assert outcome.stderr == "sparsetrain: Missing argument 'FILE...'. (see 'sparsetrain validate --help')\n"
    assert outcome.exit_code == 2


@pytest.mark.parametrize(("form", "required"), [("workload", {"name", "layers"}), ("architecture", {"name"})])
def test_a_schema_is_json_that_describes_every_field(form: str, required: set[str], tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "schema", form)
    schema = json.loads(outcome.stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["type"], schema["additionalProperties"], set(schema["required"])) == ("object", False, required)
    text = json.dumps(schema)
    for reference in re.findall(r'"\$ref": "#/\$defs/(\w+)"', text):
        assert reference in schema["$defs"]
    shown = "lenet5" if form == "workload" else "ideal"
    fields = {line.partition(":")[0] for line in run_command(tmp_path, "show", shown).stdout.splitlines()}
    assert {field for field in fields if field.isidentifier()} <= set(schema["properties"])


def test_a_schema_of_something_else_is_refused(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "schema", "sweep")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("sparsetrain: Invalid value for ")
    assert outcome.stderr.endswith("(see 'sparsetrain schema --help')\n")
    assert outcome.stderr.count("\n") == 1


def test_columns_are_printed_as_a_table_with_a_meaning_each(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "columns")
    assert outcome.stdout == make_columns_tables() + "\n"
    for name, unit, meaning in describe_columns():
        assert f"| `{name}` | {unit or '-'} | {meaning} |\n" in outcome.stdout
        assert meaning.endswith(".")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "completion", shell)
    assert outcome.exit_code == 0
    assert f"_SPARSETRAIN_COMPLETE={shell}_complete" in outcome.stdout


def test_every_model_of_the_forms_refuses_unknown_fields() -> None:
    models = [StrictModel]
    for model in models:
        models += model.__subclasses__()
    # The fields of a layer in a block are those of the layer it becomes, and are checked there.
    models.remove(BlockLayer)
    for model in models:
        assert (model.model_config.get("extra"), model.model_config.get("strict")) == ("forbid", True), model


def test_bad_input_in_a_process_of_its_own_gives_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from reports.cli import main; main()", "simulate", "lenett5"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    presets = ", ".join(preset_names())
    assert done.stderr == (
        f"sparsetrain: 'lenett5' is neither a file nor a preset; did you mean 'lenet5'? (the presets are {presets})\n"
    )
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
