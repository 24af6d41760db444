"""The engines of the host by name, and the reference beside what torch gave, where torch is not installed."""

from __future__ import annotations

import json
import sys

import pytest
from host_cases import OPTIMISERS, STORED, digest, run_case

from workloads.errors import InputError
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.hosts.table import load_host


def test_numpy_is_the_reference() -> None:
    assert isinstance(load_host("numpy"), NumpyHost)


@pytest.mark.parametrize(
    ("name", "near"), [("tensorflow", ""), ("troch", "; did you mean 'torch'?"), ("numpy:cuda", ""), ("", "")]
)
def test_an_unknown_host_is_refused_by_name(name: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        load_host(name)
    assert str(caught.value) == f"--host must be numpy or torch, got '{name}'{near}"


@pytest.mark.parametrize("name", ["torch", "torch:cuda"])
def test_torch_says_how_it_is_installed_where_it_is_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError) as caught:
        load_host(name)
    assert str(caught.value) == (
        "--host torch needs the library torch, which is not installed; "
        "in a checkout of sparsetrain, pip install '.[torch]' installs it"
    )


@pytest.mark.parametrize("name", OPTIMISERS)
def test_twenty_steps_of_the_reference_are_those_that_torch_gave(name: str) -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))[name]
    losses, state = run_case(name, "numpy")
    # Float32 sums in another order move a loss by some 1e-6 in twenty steps.
    assert losses == pytest.approx(stored["losses"], rel=1e-5)
    means = digest(state)
    assert means.keys() == stored["means"].keys()
    for one, pair in means.items():
        # Adam moves a parameter whose gradient is a rounding alone, as a bias's before a norm is, either way.
        is_loose = OPTIMISERS[name]["method"] != "sgd" and one.endswith(("/bias", "/shift", "/mean"))
        assert pair == pytest.approx(stored["means"][one], rel=1e-4, abs=2e-2 if is_loose else 1e-5), one
