"""Stochastic pruning of a gradient where it lies, on a graphics card, by the definitions of `workloads.pruning`."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import torch

from workloads.host import NotFiniteError
from workloads.pruners.normal import share_left
from workloads.pruners.site import SitePruning
from workloads.pruners.table import NORMAL
from workloads.pruning import PruningKey, PruningState, normal_quantile, threshold_of_sum
from workloads.pruning_kernels import FIRST_FACTOR, FRACTION_UNIT, GOLDEN_GAMMA, SECOND_FACTOR
from workloads.pruning_sites import PruningSite
from workloads.settings import GradientPruning, Pruning

Tensor = Any
# Elements that are drawn for at a time: bounds the memory of 64-bit numbers.
BLOCK = 2**22


def prunes_in_place(pruning: Pruning | None, device: Any) -> bool:
    """Tell whether gradients are pruned where they lie: on a graphics card, by the normal model's thresholds."""
    return device.type != "cpu" and isinstance(pruning, GradientPruning) and pruning.model == NORMAL


def prune_site(
    pruning: GradientPruning,
    site: PruningSite,
    gradient: Tensor,
    mask: Tensor | None,
    state: PruningState,
    key: PruningKey,
) -> tuple[Tensor, SitePruning]:
    """Prune the gradient at a site, as `workloads.pruners.site.StochasticPruner` does with the normal model.

    Raises:
        NotFiniteError: the gradient's numbers overflow.
    """
    magnitudes, size, rate = gradient.abs(), gradient.numel(), pruning.rate
    positions = size if mask is None else int(mask.sum())
    own = threshold_of_sum(float(magnitudes.sum(dtype=torch.float64)), positions, rate)
    if not isfinite(own):
        raise NotFiniteError(f"the gradient to the output of '{site.node}' is not finite; weights are too large")
    used = own if pruning.threshold == "own_batch" else state.threshold(site.node)
    pruned = prune_tensor(gradient, used, key)
    snapped = float((pruned.abs() == used).sum()) / size if used else 0.0
    before, after = (float(torch.count_nonzero(values)) / size for values in (gradient, pruned))
    sigma = own / normal_quantile(rate) if rate else None
    aimed = share_left(rate) * positions / size
    return pruned, SitePruning(site, used, own, before, after, aimed, sigma, snapped)


def prune_tensor(gradient: Tensor, tau: float, key: PruningKey) -> Tensor:
    """Prune a gradient ``(N, ...)`` as `workloads.pruning.prune` does, element by element; tau is a float32 value."""
    if tau == 0:
        return gradient
    rows = gradient.reshape(len(gradient), -1)
    keys = torch.from_numpy(key.image_keys(len(gradient)).view(np.int64)).to(gradient.device)
    images = max(1, BLOCK // max(1, rows.shape[1]))
    blocks = [
        _prune_rows(rows[first : first + images], tau, keys[first : first + images])
        for first in range(0, len(rows), images)
    ]
    return torch.cat(blocks).reshape(gradient.shape)


def _prune_rows(rows: Tensor, tau: float, keys: Tensor) -> Tensor:
    magnitudes = rows.abs()
    is_snapped = draw_uniforms(keys, rows.shape[1]) * tau < magnitudes.double()
    limit = torch.full_like(rows, tau).copysign(rows)
    drawn = torch.where(is_snapped, limit, torch.zeros_like(rows))
    return torch.where((magnitudes < tau) & (magnitudes != 0), drawn, rows)


def draw_uniforms(keys: Tensor, elements: int) -> Tensor:
    """Give the numbers in [0, 1) of images' elements, float64 ``(images, elements)``: SplitMix64 in signed numbers.

    Products and sums of two's complements wrap as those of unsigned numbers do.
    """
    counters = torch.arange(1, elements + 1, dtype=torch.int64, device=keys.device) * _wrap(GOLDEN_GAMMA)
    mixed = keys[:, None] + counters
    mixed = (mixed ^ _shift(mixed, 30)) * _wrap(FIRST_FACTOR)
    mixed = (mixed ^ _shift(mixed, 27)) * _wrap(SECOND_FACTOR)
    mixed = mixed ^ _shift(mixed, 31)
    return _shift(mixed, 11).double() * FRACTION_UNIT


def _shift(values: Tensor, bits: int) -> Tensor:
    """Shift to the right, zeros behind: torch's own shift repeats the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _wrap(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
