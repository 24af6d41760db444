"""Give a layer of the definition as the cycle-stepped model takes it."""

from __future__ import annotations

from oracle import definition_layers
from oracle.stepped_conv import Conv
from oracle.stepped_linear import Linear, Product


def describe(layer: definition_layers.Layer) -> Conv | Linear:
    """Give the same layer, a transposed convolution by its K."""
    if isinstance(layer, definition_layers.Linear):
        return Linear("layer", layer.N, layer.C, layer.M)
    if isinstance(layer, definition_layers.Product):
        return Product("layer", layer.T, layer.C, layer.M, layer.Z)
    is_transposed = isinstance(layer, definition_layers.Transposed)
    K = layer.K if isinstance(layer, definition_layers.Transposed) else layer
    top, bottom = definition_layers.split_pair(K.pad_h)
    left, right = definition_layers.split_pair(K.pad_w)
    return Conv(
        "layer", K.N, K.C, K.H, K.W, K.M, K.R, K.S, K.U, (top, left, bottom, right), K.G, K.D,
        is_transposed=is_transposed, out_size=K.PQ,
    )  # fmt: skip
