"""The network of a workload's form, as it is declared and as its rewrites leave it."""

from __future__ import annotations

from collections.abc import Callable

from workloads.network import Network, build_network
from workloads.rewrites.rewrite import rewrite_network
from workloads.schema import WorkloadForm


def build_declared(form: WorkloadForm, locate: Callable[[int], str] | None = None) -> Network:
    """Build the network of the layers that a form declares, before any rewrite.

    Args:
        locate: As `build_network` takes it.

    Raises:
        InputError: the layers are no network.
    """
    image = () if form.input is None else form.input.shape
    return build_network(form.name, (form.microbatch, *image), form.layers, locate)


def build_rewritten(form: WorkloadForm, label: str, locate: Callable[[int], str] | None = None) -> Network:
    """Build the network of a form and rewrite it.

    Args:
        label: The workload, as messages name it.

    Raises:
        InputError: the layers, or those that a rewrite makes, are no network.
    """
    return rewrite_network(build_declared(form, locate), form.rewrites or (), label)
