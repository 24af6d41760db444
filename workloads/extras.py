"""Libraries that one feature needs, installed with an extra of the package."""

from __future__ import annotations

import importlib
from types import ModuleType

from workloads.errors import InputError


def import_extra(library: str, extra: str, feature: str) -> ModuleType:
    """Import a library that is installed with an extra.

    Args:
        feature: What needs it, in the words of the user's input.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError:
        raise InputError(
            f"{feature} needs the library {library}, which is not installed; "
            f"in a checkout of sparsetrain, pip install '.[{extra}]' installs it"
        ) from None
