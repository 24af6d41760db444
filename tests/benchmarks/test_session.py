"""Samples, their summaries, and the file that holds them."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.cases import Target
from benchmarks.session import Measurement, Session, SessionError, Summary, read_session, summarize, write_session

MEASUREMENT = Measurement(
    "net",
    Target(5, 3, 2**30),
    {"verified_s": [4.0, 2.0, 8.0], "reference_s": [1.0, 2.0, 2.0], "gemm_s": []},
    {"dense_macs": 80, "cycles": 16},
)
SESSION = Session({"date": "2026-01-01", "cores": 2}, (MEASUREMENT,), {"simpy": {"events_per_s": [1.5]}})


def test_a_summary_is_the_median_and_the_two_extremes() -> None:
    assert summarize([4.0, 1.0, 3.0]) == Summary(median=3.0, least=1.0, largest=4.0)
    assert summarize([4.0, 1.0]) == Summary(median=2.5, least=1.0, largest=4.0)
    assert summarize([]) is None


def test_one_sample_has_no_spread() -> None:
    (alone, two) = (summarize([2.0]), summarize([2.0, 3.0]))
    assert alone is not None
    assert two is not None
    assert (alone.has_spread, two.has_spread) == (False, True)


def test_a_rate_is_taken_of_each_sample_before_the_median() -> None:
    assert MEASUREMENT.rate("dense_macs", "verified_s") == Summary(80 / 4, 80 / 8, 80 / 2)


def test_a_ratio_pairs_the_samples_of_one_repetition() -> None:
    assert MEASUREMENT.ratio("verified_s", "reference_s") == Summary(4 / 1, 2 / 2, 8 / 2)


def test_what_was_not_sampled_has_no_figure() -> None:
    assert MEASUREMENT.summary("gemm_s") is None
    assert MEASUREMENT.rate("cycles", "unverified_s") is None
    assert MEASUREMENT.ratio("verified_s", "gemm_s") is None


def test_a_session_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_session(SESSION, tmp_path / "made" / "bench.json")
    assert read_session(tmp_path / "made" / "bench.json") == SESSION


@pytest.mark.parametrize("text", ['{"format": 0}', "[]", '{"measurements": []}'])
def test_another_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(SessionError) as caught:
        read_session(path)
    assert str(caught.value) == f"{path}: is not a benchmark file of format 1"


def test_a_file_that_is_not_json_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{")
    with pytest.raises(SessionError, match=r"other\.json: cannot be read as JSON: "):
        read_session(path)
