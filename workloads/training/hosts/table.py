"""The engines of the host by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from workloads.errors import InputError
from workloads.extras import import_extra
from workloads.training.hosts.host import TrainingHost
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.validation import did_you_mean

HOSTS = ("numpy", "torch")
WAIT_POLICY = "OMP_WAIT_POLICY"


def load_host(name: str) -> TrainingHost:
    """Give an engine.

    Args:
        name: Behind ``torch`` a device may stand, as torch names them: ``torch:cuda``; the processor is the default.

    Raises:
        InputError: there is none of this name, or what it needs is not installed.
    """
    engine, _, device = name.partition(":")
    if name == "numpy":
        return NumpyHost()
    if engine != "torch":
        raise InputError(f"--host must be {' or '.join(HOSTS)}, got '{name}'{did_you_mean(name, HOSTS)}")
    with waiting_asleep():
        import_extra("torch", "torch", "--host torch")
    # Torch takes seconds to load, and is an extra.
    from workloads.training.hosts.torch_host import TorchHost

    return TorchHost(device or "cpu")


@contextmanager
def waiting_asleep() -> Iterator[None]:
    """Let threads of what is loaded in the block sleep while they wait for each other, unless the user wants otherwise.

    By default OpenMP's spin: where other processes take their cores, such as trainings beside this one, that costs many
    times what is computed. It reads the variable when it is loaded.
    """
    is_set = WAIT_POLICY in os.environ
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
    try:
        yield
    finally:
        if not is_set:
            del os.environ[WAIT_POLICY]
