"""Attention as products of matrices: what torch does in one call is done in several, which are layers."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

from torch.nn import functional

from workloads.capture.calls import Tensor, UnmappedCallError

MASKED = "an attention with a mask, or with groups of heads, is no layer"


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
        raise UnmappedCallError(MASKED)
    return share_out(query, key, value, dropout_p, scale)[0]


def share_out(
    query: Tensor, key: Tensor, value: Tensor, rate: float = 0.0, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Weigh the values by the softmax of scaled products of queries and keys; give that and the weights.

    Args:
        rate: Of the dropout of weights.
        scale: By default 1 / sqrt(features).
    """
    factor = 1 / sqrt(query.shape[-1]) if scale is None else float(scale)
    weights = functional.dropout(((query @ key.transpose(-2, -1)) * factor).softmax(-1), rate)
    return weights @ value, weights


def attend_heads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,  # noqa: ARG001
    num_heads: int,
    in_proj_weight: Tensor,
    in_proj_bias: Tensor,
    bias_k: Tensor,
    bias_v: Tensor,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Compute what torch's module of several heads does, of tensors ``(tokens, N, features)``.

    Raises:
        UnmappedCallError: it has a mask, tokens of its own, or no batch.
    """
    if options.get("key_padding_mask") is not None or options.get("attn_mask") is not None or options.get("is_causal"):
        raise UnmappedCallError(MASKED)
    if add_zero_attn or any(one is not None for one in (bias_k, bias_v, options.get("static_k"))):
        raise UnmappedCallError("an attention that adds keys and values of its own is no layer")
    if query.dim() != 3:
        raise UnmappedCallError("an attention on a sequence without a batch is no layer")
    weights = (in_proj_weight,) if in_proj_weight is not None else tuple(
        options[f"{name}_proj_weight"] for name in ("q", "k", "v")
    )  # fmt: skip
    heads = [
        one.unflatten(-1, (num_heads, one.shape[-1] // num_heads)).transpose(1, 2)
        for one in project(query, key, value, weights, in_proj_bias)
    ]
    mixed, shares = share_out(heads[0], heads[1], heads[2], dropout_p if options.get("training", True) else 0.0)
    output = functional.linear(mixed.transpose(1, 2).flatten(2), out_proj_weight, out_proj_bias).transpose(0, 1)
    if not options.get("need_weights", True):
        return output, None
    return output, shares.mean(dim=1) if options.get("average_attn_weights", True) else shares


def project(query: Tensor, key: Tensor, value: Tensor, weights: tuple[Tensor, ...], bias: Tensor) -> list[Tensor]:
    """Make queries, keys and values, batch first: what reads one tensor by one packed weight is one layer.

    Args:
        weights: One that is packed, or three.
    """
    first = query.transpose(0, 1)
    if len(weights) == 1 and query is key and key is value:
        return list(functional.linear(first, weights[0], bias).chunk(3, -1))
    parts = weights[0].chunk(3) if len(weights) == 1 else weights
    biases = (None, None, None) if bias is None else bias.chunk(3)
    if len(weights) == 1 and key is value:
        packed = functional.linear(key.transpose(0, 1), weights[0][len(parts[0]) :], join_rest(bias, len(parts[0])))
        return [functional.linear(first, parts[0], biases[0]), *packed.chunk(2, -1)]
    read = (first, key.transpose(0, 1), value.transpose(0, 1))
    return [functional.linear(*one) for one in zip(read, parts, biases, strict=True)]


def join_rest(bias: Tensor, begin: int) -> Tensor:
    """Give the biases of keys and values; None where there are none."""
    return None if bias is None else bias[begin:]


SPELLED_OUT: dict[Any, Callable[..., Any]] = {
    functional.scaled_dot_product_attention: attend,
    functional.multi_head_attention_forward: attend_heads,
}
