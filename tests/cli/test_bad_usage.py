"""What cannot be used ends in one sentence and exit code 2, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.command import run_command, write_small
from cli.malformed_inputs import MALFORMED_WORKLOADS, MalformedInput
from cli.malformed_recordings import MALFORMED_RECORDINGS

from sim.architecture import list_architectures

COUNT = "a whole number from 1 to 1048576"
GROUPS = f"array.groups must be {COUNT}, got"
ARRAY_FIELDS = (
    "(the fields are groups, pes_per_group, multipliers_per_pe, accumulators, min_tasks_per_group, "
    "row_overhead_cycles, empty_issue_cycles, skip_zeros, skip_weights, pack_groups, "
    "skip_empty_rows)"
)
NAME = (
    r"text of the form [A-Za-z_][A-Za-z0-9_.\-]*(\[[A-Za-z0-9_.,=+~\-]+\][A-Za-z0-9_.\-]*)? of at most 256 characters"
)

OVERRIDES = [
    ("array.groups", ": must be KEY=VALUE with a dotted KEY, such as array.groups=28"),
    ("=3", ": must be KEY=VALUE with a dotted KEY, such as array.groups=28"),
    ("array..groups=3", ": must be KEY=VALUE with a dotted KEY, such as array.groups=28"),
    ("array.group=3", f": array: unknown field 'group'; did you mean 'groups'? {ARRAY_FIELDS}"),
    ("array.1=3", f": array: unknown field '1' {ARRAY_FIELDS}"),
    ("array.groups=", f": {GROUPS} null"),
    ("array.groups=many", f": {GROUPS} 'many'"),
    ("array.groups='3'", f": {GROUPS} '3'"),
    ("array.groups=1.5", f": {GROUPS} 1.5"),
    ("array.groups=3.0", f": {GROUPS} 3.0"),
    ("array.groups=true", f": {GROUPS} true"),
    ("array.groups=-1", f": {GROUPS} -1"),
    ("array.groups=0", f": {GROUPS} 0"),
    ("array.groups=1048577", f": {GROUPS} 1048577"),
    ("array.groups=[3]", f": {GROUPS} [3]"),
    ("array.groups=2001-99-99", f": {GROUPS} '2001-99-99'"),
    ("array.groups.x=3", f": {GROUPS} {{x: 3}}"),
    ("array=3", ": array must be a mapping of fields, got 3"),
    ("array.skip_zeros=no", ": array.skip_zeros must be true or false, got 'no'"),
    ("array.skip_zeros=1", ": array.skip_zeros must be true or false, got 1"),
    ("clock_mhz=.nan", ": clock_mhz must be a whole number from 1 to 100000, got nan"),
    ("name=a=b", f": name must be {NAME}, got 'a=b'"),
    (
        "array.groups=[1",
        ": not valid YAML: expected ',' or ']', but got '<stream end>' while parsing a flow sequence",
    ),
    ("array.groups=3: 4", ": not valid YAML: mapping values are not allowed here"),
    (
        "array.groups=!!python/name:os.system x",
        ": the tag !!python/name:os.system is not allowed; only plain values are",
    ),
    ("array.groups=&a 3", ": the anchor &a is not allowed; write the value out where it is used"),
    ("array={groups: 3, groups: 4}", ": the key 'groups' is given twice, first on line 1"),
    ('name="\\ud800"', ": half of a surrogate pair is not text"),
]


@pytest.mark.parametrize(("override", "message"), OVERRIDES, ids=[override for override, _ in OVERRIDES])
def test_a_bad_override_is_refused_by_name(override: str, message: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--set", override)
    assert outcome.stderr == f"sparsetrain: --set {override}{message}\n"
    assert (outcome.exit_code, outcome.stdout, outcome.files) == (2, "", ("small.yaml",))


LONG_OVERRIDES = [
    ("array.groups=" + "9" * 5000, "a number of 5000 characters is too long; 64 at most"),
    ("array.groups=" + "[" * 3000, "nested deeper than 32 levels"),
]


@pytest.mark.parametrize(("override", "message"), LONG_OVERRIDES)
def test_a_long_override_is_cut_where_the_message_repeats_it(override: str, message: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--set", override)
    assert outcome.stderr == f"sparsetrain: --set {override[:77]}...: {message}\n"
    assert (outcome.exit_code, outcome.files) == (2, ("small.yaml",))


def test_an_override_of_several_lines_is_refused_in_one(tmp_path: Path) -> None:
    outcome = run_command(
        tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", "--set", "clock_mhz=3\nname: other"
    )
    assert outcome.stderr == "sparsetrain: --set 'clock_mhz=3\\nname: other': must be one value, got several lines\n"
    assert (outcome.exit_code, outcome.files) == (2, ("small.yaml",))


PRESETS = ", ".join(preset.name for preset in list_architectures())
ARCHITECTURES = "(the presets are {presets}; or give a YAML file)"
LAYERS = "the layers are conv1, conv2, fc"
STEPS = "the steps are forward, gta, gtw"
BATCH = "batch must be a whole number from 1 to 16777216, got"
SEED = f"seed must be a whole number from 0 to {2**63 - 1}, got"
HELP = "(see 'sparsetrain simulate --help')"
OPTIONS = [
    (["--arch", "idael"], f"unknown architecture 'idael'; did you mean 'ideal'? {ARCHITECTURES}"),
    (["--arch", ""], f"unknown architecture '' {ARCHITECTURES}"),
    (["--arch", "mine.yaml"], "mine.yaml: there is no such file"),
    (["--arch", "folder"], "folder: is a directory, not a YAML file"),
    (["--baseline", "zzz"], f"unknown architecture 'zzz' {ARCHITECTURES}"),
    (["--baseline", "mine.yaml"], "mine.yaml: there is no such file"),
    (
        ["--baseline", "ideal"],
        "the machine and its baseline are both named 'ideal'; the results could not be told apart",
    ),
    (["--layers", "dense*"], f"no layer matches 'dense*'; {LAYERS}"),
    (
        ["--layers", "conv1,fc"],
        f"no layer matches 'conv1,fc', which is one pattern (of *, ?, [ab] and [0-9]) and no list; {LAYERS}",
    ),
    (["--layers", "relu1"], f"no layer matches 'relu1'; {LAYERS}"),
    (["--layers", ""], f"no layer matches ''; {LAYERS}"),
    (["--steps", "backward"], f"unknown step 'backward'; {STEPS}"),
    (["--steps", "forward,gtaa"], f"unknown step 'gtaa'; {STEPS}"),
    (["--steps", ","], f"no step is given; {STEPS}"),
    (["--jobs", "0"], "jobs must be at least 1, got 0"),
    (["--jobs", "two"], f"Invalid value for '--jobs': 'two' is not a valid integer. {HELP}"),
    (["--batch", "0"], f"{BATCH} 0"),
    (["--batch", "-2"], f"{BATCH} -2"),
    (["--batch", "many"], f"Invalid value for '--batch': 'many' is not a valid integer. {HELP}"),
    (["--seed", "-1"], f"{SEED} -1"),
    (["--seed", str(2**63)], f"{SEED} {2**63}"),
    (["--set", "dataflow=nobody"], "unknown dataflow 'nobody'; registered are sparsetrain"),
    (
        ["--set", "array.accumulators=2"],
        "layer 'conv1', step gtw: one grad_weight kernel row needs 3 accumulators in a PE, array.accumulators = 2",
    ),
    (
        ["--jobs", "2", "--set", "array.accumulators=2"],
        "layer 'conv1', step gtw: one grad_weight kernel row needs 3 accumulators in a PE, array.accumulators = 2",
    ),
    (["--out", "file"], "--out file: is a file; a directory is needed"),
    (["--out", "file/run"], "--out file/run: nothing can be written in {folder}/file"),
    (["--out", "folder"], "--out folder: holds something other than a run (run.json); it is left as it is"),
    (["--save-outputs", "folder"], "--save-outputs folder: is a directory; a file is needed"),
    (["--save-outputs", "file/v.npz"], "--save-outputs file/v.npz: nothing can be written in {folder}/file"),
    (
        ["--out", "run", "--save-outputs", "run"],
        "--save-outputs run: the run itself is written there; choose another file",
    ),
    (
        ["--out", "run", "--save-outputs", "run/steps.csv"],
        "--save-outputs run/steps.csv: the run itself is written there; choose another file",
    ),
    (["--xyzzy"], f"No such option '--xyzzy'. {HELP}"),
    (["--arch"], f"Option '--arch' requires an argument. {HELP}"),
    (["another"], f"Got unexpected extra argument (another) {HELP}"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=[" ".join(options) for options, _ in OPTIONS])
def test_a_bad_option_is_answered_with_one_sentence(options: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "ideal", *options)
    expected = message.replace("{presets}", PRESETS).replace("{folder}", str(tmp_path))
    assert outcome.stderr == f"sparsetrain: {expected}\n"
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.files == ("file", "folder/precious", "small.yaml")


def test_steps_that_no_chosen_layer_has_are_refused(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", "lenet5", "--layers", "conv1", "--steps", "gta")
    assert outcome.stderr == ("sparsetrain: no layer that matches 'conv1' has a step gta; nothing can be simulated\n")
    assert (outcome.exit_code, outcome.files) == (2, ())


ARCHITECTURE_FILES = [
    ("", ": is empty; a mapping of fields is expected"),
    ("clock_mhz: 800\n", f", line 1: name is missing; it must be {NAME}"),
    ("name: 3\n", f", line 1: name must be {NAME}, got 3"),
    ("name: a\nclock_mhz: fast\n", ", line 2: clock_mhz must be a whole number from 1 to 100000, got 'fast'"),
    ("name: a\nclock_mhz: 800.5\n", ", line 2: clock_mhz must be a whole number from 1 to 100000, got 800.5"),
    ("name: a\narray:\n  group: 3\n", f", line 3: array: unknown field 'group'; did you mean 'groups'? {ARRAY_FIELDS}"),
    ("name: a\narray:\n  groups: 0\n", f", line 3: {GROUPS} 0"),
    ("name: a\narray: []\n", ", line 2: array must be a mapping of fields, got []"),
    ("name: a\narray: {skip_zeros: yes}\n", ", line 2: array.skip_zeros must be true or false, got 'yes'"),
    ("name: a\nname: b\n", ", line 2: the key 'name' is given twice, first on line 1"),
    ("name: a\narray: &x {}\n", ", line 2: the anchor &x is not allowed; write the value out where it is used"),
    ("name: [a\n", ", line 2: not valid YAML: expected ',' or ']', but got '<stream end>' while parsing a flow "
                   "sequence that begins on line 1"),
    ("name: a\n--- \nname: b\n", ", line 2: a second YAML document starts here; a file holds one"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ARCHITECTURE_FILES)
def test_a_malformed_architecture_file_is_answered_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--arch", "mine.yaml")
    assert outcome.stderr == f"sparsetrain: mine.yaml{message}\n"
    assert (outcome.exit_code, outcome.stdout, outcome.files) == (2, "", ("mine.yaml", "small.yaml"))


@pytest.mark.parametrize(
    "case", [*MALFORMED_WORKLOADS, *MALFORMED_RECORDINGS], ids=lambda case: case.name.replace(" ", "_")
)
def test_a_malformed_workload_ends_the_command_with_one_sentence(case: MalformedInput, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    path = case.write(given)
    before = sorted(given.rglob("*"))
    outcome = run_command(given, "simulate", str(path), "--arch", "ideal")
    assert outcome.stderr == f"sparsetrain: {case.expected(given, path)}\n"
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert sorted(given.rglob("*")) == before
