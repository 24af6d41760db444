"""The engines of the host by name."""

from __future__ import annotations

from workloads.errors import InputError
from workloads.training.hosts.host import TrainingHost
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.validation import did_you_mean

HOSTS = ("numpy",)


def load_host(name: str) -> TrainingHost:
    """Give an engine.

    Raises:
        InputError: there is none of this name, or what it needs is not installed.
    """
    if name == "numpy":
        return NumpyHost()
    raise InputError(f"--host must be {' or '.join(HOSTS)}, got '{name}'{did_you_mean(name, HOSTS)}")
