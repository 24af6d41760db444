"""The layer kinds: one file each, one line each in `workloads.kinds.table`."""

from workloads.kinds.layer import LayerBase
from workloads.kinds.table import KINDS, Layer, name_kind

__all__ = ["KINDS", "Layer", "LayerBase", "name_kind"]
