"""A function of the user's own, named on the command line, that makes a model, images and a loss."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from workloads.capture.places import telling_failure
from workloads.errors import InputError
from workloads.suggestions import did_you_mean
from workloads.words import list_words

PARTS = 3


def load_function(address: str) -> Callable[[], Any]:
    """Import the function of MODULE:FUNCTION, or FILE.py:FUNCTION; modules lie in the working directory or installed.

    Raises:
        InputError: the address is of another form, or nothing is there.
    """
    place, _, name = address.rpartition(":")
    if not place or not name.isidentifier():
        raise InputError(f"capture takes MODULE:FUNCTION, such as training.net:make, got '{address}'")
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    made: Any = getattr(module, name, None)
    if made is None:
        names = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        near = did_you_mean(name, names) or (f" (it has {list_words(names)})" if names else "")
        raise InputError(f"{place} has no function '{name}'{near}")
    if not callable(made):
        raise InputError(f"{address} is no function but {type(made).__name__}")
    return made  # type: ignore[no-any-return]


def make_subject(address: str) -> tuple[Any, Any, Any]:
    """Call the function of an address, which gives a model, images and a loss.

    Raises:
        InputError: it cannot be imported or called, or gives something else.
    """
    function = load_function(address)
    with telling_failure(address):
        made = function()
    if not isinstance(made, tuple | list) or len(made) != PARTS:
        got = f"{len(made)} values" if isinstance(made, tuple | list) else type(made).__name__
        raise InputError(f"{address} must give a model, images and a loss, got {got}")
    model, images, loss = made
    return model, images, loss


def _import_module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        with telling_failure(f"importing {name}"):
            return importlib.import_module(name)
    except InputError as error:
        cause = error.__cause__
        if (
            isinstance(cause, ModuleNotFoundError)
            and cause.name is not None
            and f"{name}.".startswith(f"{cause.name}.")
        ):
            raise InputError(f"there is no module '{name}' in {folder} or among what is installed") from None
        raise


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where it defines classes, they are looked up by their module's name.
    sys.modules.setdefault(path.stem, module)
    with telling_failure(f"importing {path}"):
        spec.loader.exec_module(module)
    return module
