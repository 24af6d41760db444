"""Attention as products of matrices: what torch does in one call is done in several, which are layers."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

from torch.nn import functional

from workloads.capture.calls import Tensor, UnmappedCallError


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute torch's scaled dot product attention.

    Raises:
        UnmappedCallError: it has a mask, or groups of heads.
    """
    if attn_mask is not None or is_causal or enable_gqa:
        raise UnmappedCallError("an attention with a mask, or with groups of heads, is no layer")
    factor = 1 / sqrt(query.shape[-1]) if scale is None else float(scale)
    shares = ((query @ key.transpose(-2, -1)) * factor).softmax(-1)
    return functional.dropout(shares, dropout_p) @ value


SPELLED_OUT: dict[Any, Callable[..., Any]] = {functional.scaled_dot_product_attention: attend}
