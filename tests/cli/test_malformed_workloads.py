from __future__ import annotations

from pathlib import Path

import pytest
from cli.malformed_inputs import MALFORMED_WORKLOADS, WORKLOAD, MalformedInput
from cli.malformed_recordings import (
    MALFORMED_RECORDINGS,
    packed,
    sound_arrays,
    write_recorded_workload,
)

from workloads.errors import InputError
from workloads.recorded import load_recorded
from workloads.sources.recorded import RecordedOperands
from workloads.workload import load_workload

ALL_CASES = (*MALFORMED_WORKLOADS, *MALFORMED_RECORDINGS)


def read_everything(path: Path | str) -> int:
    """Load a workload and, if it is recorded, its operands; return the number of layers with operands."""
    workload = load_workload(str(path))
    source = workload.operand_source()
    if isinstance(source, RecordedOperands):
        return len(list(load_recorded(source.recorded_path(workload.base_directory), workload.network)))
    return 0


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_a_malformed_input_is_answered_with_one_sentence(case: MalformedInput, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    with pytest.raises(InputError) as caught:
        read_everything(path)
    assert str(caught.value) == case.expected(tmp_path, path)
    assert len(str(caught.value).splitlines()) == 1


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in ALL_CASES}) == len(ALL_CASES)


def test_the_inputs_that_the_cases_spoil_are_sound(tmp_path: Path) -> None:
    sound = tmp_path / "sound.yaml"
    sound.write_text(WORKLOAD)
    assert read_everything(sound) == 0
    assert read_everything(write_recorded_workload(tmp_path, packed(sound_arrays()))) == 3
    assert read_everything(write_recorded_workload(tmp_path, packed(sound_arrays(), compressed=True))) == 3
