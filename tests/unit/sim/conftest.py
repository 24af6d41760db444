"""The technology tables of the package, each read once for a module."""

from __future__ import annotations

import pytest

from sim.technology import Technology, load_technology


@pytest.fixture(scope="module")
def at_14nm() -> Technology:
    return load_technology("14nm")


@pytest.fixture(scope="module")
def at_45nm() -> Technology:
    return load_technology("45nm")
