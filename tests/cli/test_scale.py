"""The command that lets several chips train together: its table, its page and its file, and bad input."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from browser.small_runs import make_run
from cli.command import run_command

from sim.scaling.scaling import CHIPS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    make_run(folder, "full")
    return folder


def test_a_table_and_a_file_have_a_row_for_each_machine_and_number_of_chips(folder: Path) -> None:
    outcome = run_command(folder, "scale", "full", "--csv", "points.csv", "--wide")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    frame = pd.read_csv(folder / "points.csv")
    assert frame["machine"].tolist() == ["sparsetrain"] * len(CHIPS) + ["sparsetrain-dense"] * len(CHIPS)
    assert frame["chips"].tolist() == [*CHIPS, *CHIPS]
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert outcome.stdout.startswith(
        "Chips in a ring of links of 16 bytes a cycle and direction, latency 800 cycles (assumed); dense gradients\n"
    )
    for _, row in frame.iterrows():
        (line,) = (one for one in lines if one[:2] == [row["machine"], str(row["chips"])])
        assert f"{row['iteration_cycles']:,d}" in line
        assert f"{row['efficiency']:.2%}" in line


def test_links_are_chosen_and_a_page_says_so(folder: Path) -> None:
    options = ("--topology", "tree", "--link-bytes-per-cycle", "2.5", "--link-latency-cycles", "0", "--chips", "4, 1")
    outcome = run_command(folder, "scale", "full", *options, "-o", "page.html")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("Page: page.html (")
    page = (folder / "page.html").read_text()
    assert "Scaling of small on sparsetrain" in page
    assert "tree of links of 2.5 bytes a cycle and direction, latency 0 cycles;" in page
    assert "<script>window.pwned" not in page


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["full", "--chips", "2,x"],
         "--chips must be whole numbers from 1 to 64 with commas between them, got '2,x'"),
        (["full", "--chips", ""], "--chips must be whole numbers from 1 to 64 with commas between them, got ''"),
        (["full", "--chips", "2,128"], "chips must be whole numbers from 1 to 64, got 128"),
        (["full", "--link-bytes-per-cycle", "-1"],
         "the bytes of a link in a cycle must be a number above 0, got -1.0"),
        (["full", "--link-latency-cycles", "-1"],
         "the latency of a link must be a whole number of cycles from 0 to 2147483648, got -1"),
        (["full", "--gradients", "masked"],
         "full: gradients masked: no weight of 'small' is masked (sparsify), so that no gradient is left out"),
        (["none"], "none: is not a directory; a run is the directory that 'sparsetrain simulate' wrote"),
        (["full", "-o", "full"], "--output full: is a directory; a file is needed"),
        (["full", "--csv", "full"], "--csv full: is a directory; a file is needed"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(folder: Path, options: list[str], sentence: str) -> None:
    outcome = run_command(folder, "scale", *options)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {sentence}\n")
