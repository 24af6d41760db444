"""The density that a threshold model aims at, over the iterations of an epoch."""

from __future__ import annotations

import pytest

from workloads.pruners.site import SitePruning
from workloads.pruning_sites import PruningPlace, PruningSite
from workloads.training.hosts.numpy_host import describe_site
from workloads.training.record import BatchOutcome, average_sites


def test_the_density_aimed_at_is_averaged_as_the_one_achieved() -> None:
    site = PruningSite("conv1", "conv1", PruningPlace.BATCH_NORM)
    batches = [
        SitePruning(site, 0.5, 0.25, 1.0, density_after=after, aimed_density=aimed, sigma=None, snapped=0.5)
        for aimed, after in ((0.5, 0.5), (0.25, 0.375))
    ]
    outcomes = [BatchOutcome(1.0, None, {"conv1": describe_site(one)}, {}) for one in batches]
    (record,) = average_sites(outcomes, {"conv1": ("conv1", "batch_norm")})
    assert (record.aimed_density, record.density_after) == (pytest.approx(0.375), pytest.approx(0.4375))
    assert (record.pruned, record.snapped, record.sigma) == (pytest.approx(0.5625), 0.5, None)
