"""The engines of the host by name."""

from __future__ import annotations

from workloads.errors import InputError
from workloads.extras import import_extra
from workloads.training.hosts.host import TrainingHost
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.validation import did_you_mean

HOSTS = ("numpy", "torch")


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
    import_extra("torch", "torch", "--host torch")
    # Torch takes seconds to load, and is an extra.
    from workloads.training.hosts.torch_host import TorchHost

    return TorchHost(device or "cpu")
