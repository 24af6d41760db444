"""The function that `sparsetrain capture` is given is found, or said in one sentence what is in the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workloads.capture.entry import load_function, make_subject
from workloads.errors import InputError

SOURCE = """\
LIMIT = 3

def make():
    return 1, 2, 3

def make_two():
    return 1, 2

def make_one():
    return None

def fail():
    raise ValueError("no such data")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "training_net.py").write_text(SOURCE)
    (tmp_path / "broken_net.py").write_text("import json\nimport no_such_library\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("training_net", "broken_net"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize("address", ["training_net:make", "training_net.py:make"])
def test_a_function_is_found_by_module_or_file(address: str) -> None:
    assert make_subject(address) == (1, 2, 3)


def test_a_file_may_lie_anywhere(folder: Path) -> None:
    assert load_function(f"{folder}/training_net.py:make")() == (1, 2, 3)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("training_net", "capture takes MODULE:FUNCTION, such as training.net:make, got 'training_net'"),
        ("training_net:", "capture takes MODULE:FUNCTION, such as training.net:make, got 'training_net:'"),
        (":make", "capture takes MODULE:FUNCTION, such as training.net:make, got ':make'"),
        ("training_net:make()", "capture takes MODULE:FUNCTION, such as training.net:make, got 'training_net:make()'"),
        ("training_net:maek", "training_net has no function 'maek'; did you mean 'make'?"),
        ("training_net:LIMIT", "training_net:LIMIT is no function but int"),
        ("no_such_net:make", "there is no module 'no_such_net' in {folder} or among what is installed"),
        ("no_such.net:make", "there is no module 'no_such.net' in {folder} or among what is installed"),
        ("no_such_net.py:make", "no_such_net.py: there is no such file"),
        ("broken_net:make", "importing broken_net fails (broken_net.py, line 2): ModuleNotFoundError: No module named "
         "'no_such_library'"),
        ("broken_net.py:make", "importing broken_net.py fails (broken_net.py, line 2): ModuleNotFoundError: No module "
         "named 'no_such_library'"),
        ("training_net:make_two", "training_net:make_two must give a model, images and a loss, got 2 values"),
        ("training_net:make_one", "training_net:make_one must give a model, images and a loss, got NoneType"),
        ("training_net:fail", "training_net:fail fails (training_net.py, line 13): ValueError: no such data"),
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_told_in_one_sentence(address: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        make_subject(address)
    assert str(caught.value) == message.format(folder=folder)
