"""What a training measured, epoch by epoch, as rows of a profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workloads.profile_table import ProfileRow
from workloads.training.record import EpochRecord

GRADIENT = "grad_output"


def list_profile_rows(records: Iterable[EpochRecord], rate: float) -> Iterator[ProfileRow]:
    """List the densities of a training's epochs for `workloads.profile_table.write_profile`.

    They are those of the tensors that layers meet, and of every pruned gradient by the node to whose output it is;
    where that is a layer that is computed, it is its `grad_output` already.

    Args:
        rate: At which gradients were pruned.
    """
    for record in records:
        known = set()
        for one in record.tensors:
            known.add((one.layer, one.tensor))
            yield ProfileRow(one.layer, one.tensor, rate, record.epoch, one.density)
        for site in record.sites:
            if (site.node, GRADIENT) not in known:
                yield ProfileRow(site.node, GRADIENT, rate, record.epoch, site.density_after)
