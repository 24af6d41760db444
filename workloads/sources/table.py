"""The sources of operands by name, those that ship and those of installed packages."""

from __future__ import annotations

from workloads.plugins import ExtensionPoint
from workloads.sources.source import OperandSource

SOURCES = ExtensionPoint[OperandSource](
    "sparsetrain.operand_sources",
    "operand source",
    {
        "recorded": "workloads.sources.recorded:RecordedOperands",
        "synthetic": "workloads.sources.synthetic:SyntheticOperands",
        "host": "workloads.sources.host:HostOperands",
        "profile": "workloads.sources.profile:ProfileOperands",
    },
    OperandSource,
)


def list_pruning_sources() -> list[str]:
    """Name the shipped sources whose gradients can be pruned."""
    return [name for name in SOURCES.built_in if SOURCES.load(name).prunes_gradients]


def list_masking_sources() -> list[str]:
    """Name the shipped sources whose weights can be masked."""
    return [name for name in SOURCES.built_in if SOURCES.load(name).masks_weights]


def list_choices() -> tuple[str, ...]:
    """Name what `--operands` may choose: the shipped sources that offer it, and those of packages."""
    return tuple(name for name in SOURCES.names() if name not in SOURCES.built_in or SOURCES.load(name).offers_choice)
