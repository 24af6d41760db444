"""The examples in README.md and CONTRIBUTING.md, as a reader would use them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cli.command import run_command
from peers import import_peer

from sim.architecture import Architecture, load_architecture
from sim.results.rows import make_columns_tables
from sim.run import simulate
from workloads.validation import validate_document
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COLUMNS_START, COLUMNS_END = "<!-- columns: the output of `sparsetrain columns` -->\n", "\n<!-- end of columns -->"


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_example(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "example", "exec"), names)
    return names


def test_the_readme_holds_exactly_the_columns_that_the_command_prints() -> None:
    table = README.partition(COLUMNS_START)[2].partition(COLUMNS_END)[0]
    assert table == make_columns_tables(), "`make columns` renews the table in README.md"


@pytest.mark.parametrize("text", [block for block in code_blocks(README, "yaml") if "layers:" in block])
def test_every_workload_in_the_readme_is_valid(text: str) -> None:
    made = make_workload(parse_yaml(text, "README.md"), ROOT)
    assert made.operand_source() is not None


def test_the_architecture_in_the_readme_is_a_preset_with_every_field_written_out() -> None:
    (text,) = (block for block in code_blocks(README, "yaml") if "array:" in block)
    document = parse_yaml(text, "README.md")
    preset = load_architecture(document.data["name"])
    assert validate_document(document, Architecture) == preset
    assert document.data == preset.model_dump(mode="json", exclude_none=True)


def test_the_python_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = code_blocks(find_section(README, "From Python"), "python")
    names = run_example(text)
    assert names["result"].record["verdict"] == "verified"
    assert list(tmp_path.iterdir()) == []


def find_section(text: str, heading: str) -> str:
    """Give what stands below a heading of the second order."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


OWN_MODEL = "Your own model"


def test_your_own_model_is_the_third_section_of_the_readme() -> None:
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    assert headings.index(OWN_MODEL) == 2
    section = find_section(README, OWN_MODEL)
    blocks = [block for language in ("python", "sh", "yaml") for block in code_blocks(section, language)]
    assert [len(block.splitlines()) <= 13 for block in blocks] == [True] * 3


@pytest.mark.peers
def test_the_model_of_pytorch_in_the_readme_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_peer("torch")
    monkeypatch.chdir(tmp_path)
    (text,) = code_blocks(find_section(README, OWN_MODEL), "python")
    assert run_example(text)["result"].record["verdict"] == "verified"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.npz", "net.yaml"]
    assert simulate("net.yaml").is_correct


@pytest.mark.peers
def test_the_commands_for_onnx_and_peers_in_the_readme_work(tmp_path: Path) -> None:
    onnx = import_peer("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("conv1.weight", kind, (4, 3, 3, 3), [0.1] * 108)
    nodes = [
        helper.make_node("Conv", ["images", "conv1.weight"], ["o"], name="conv1"),
        helper.make_node("Relu", ["o"], ["out"]),
    ]
    ends = (
        [helper.make_tensor_value_info("images", kind, (2, 3, 9, 9))],
        [helper.make_tensor_value_info("out", kind, (2, 4, 7, 7))],
    )
    onnx.save(helper.make_model(helper.make_graph(nodes, "net", *ends, [weight])), tmp_path / "net.onnx")
    (tmp_path / "topology.csv").write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
        "conv1, 12, 12, 3, 3, 4, 8, 1,\nfc, 1, 1, 1, 1, 20, 10, 1,\n"
    )
    (text,) = code_blocks(find_section(README, OWN_MODEL), "sh")
    for line in text.splitlines():
        outcome = run_command(tmp_path, *shlex.split(line)[1:])
        assert outcome.exit_code == 0, (line, outcome.stdout, outcome.stderr)


def test_the_network_of_the_readme_in_yaml_is_simulated(tmp_path: Path) -> None:
    (text,) = code_blocks(find_section(README, OWN_MODEL), "yaml")
    (tmp_path / "mine.yaml").write_text(text)
    assert simulate(tmp_path / "mine.yaml").is_correct


# Not a package of its own, but a line of this one.
LAYER_KIND = "Adding a layer kind"
RECIPES = [
    text
    for text in re.split(r"^## ", CONTRIBUTING, flags=re.MULTILINE)
    if code_blocks(text, "python") and not text.startswith(LAYER_KIND)
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda text: text.partition("\n")[0])
def test_the_recipes_of_the_contributing_guide_run(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write the module under the name that the text gives it, register it, and run its tests."""
    module, test = code_blocks(recipe, "python")
    (name,) = re.findall(r"`(\w+)\.py`:\n", recipe)
    metadata = tmp_path / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for registration in code_blocks(recipe, "toml"):
        ((group, points),) = tomllib.loads(registration)["project"]["entry-points"].items()
        lines = [f"[{group}]", *(f"{point} = {value}" for point, value in points.items())]
        (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    tests = {name: test for name, test in run_example(test).items() if name.startswith("test_")}
    assert tests
    for run in tests.values():
        run()


def test_the_layer_kind_of_the_contributing_guide_is_one_file_and_one_line(tmp_path: Path) -> None:
    section = find_section(CONTRIBUTING, LAYER_KIND)
    module, test = code_blocks(section, "python")
    (line,) = code_blocks(section, "text")
    # A package of its own with the new file and line, so that nothing of it is left in this process.
    shutil.copytree(ROOT / "workloads", tmp_path / "workloads", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "workloads/kinds/square.py").write_text(module)
    table = tmp_path / "workloads/kinds/table.py"
    kinds, brace, rest = table.read_text().partition("\n}\n")
    table.write_text(f"{kinds}\n{line.rstrip()}{brace}{rest}")
    (tmp_path / "test_square.py").write_text(test)
    questions = ROOT / "tests/unit/workloads/test_kinds.py"
    command = [sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-k", "square", tmp_path / "test_square.py", questions],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 1, "it was asked no question"
