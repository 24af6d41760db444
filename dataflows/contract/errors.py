"""The error of a layer that a machine cannot take."""

from __future__ import annotations

from workloads.errors import InputError


class UnmappableLayerError(InputError):
    """A layer step does not fit the machine; the message names layer and step, what is needed and what is there."""
