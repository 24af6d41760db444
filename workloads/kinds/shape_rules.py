"""What several kinds ask of the shapes they read."""

from __future__ import annotations

from workloads.kinds.layer import LayerBase
from workloads.shapes import Shape


def expect_image(layer: LayerBase, shape: Shape) -> None:
    """Refuse an input that is no batch of images.

    Raises:
        ValueError: it has not four axes.
    """
    if len(shape) != 4:
        raise ValueError(f"{layer.type} reads (batch, channels, height, width), but its input has the shape {shape}")


def expect_channels(layer: LayerBase, shape: Shape) -> None:
    """Refuse an input that is neither a batch of images nor one of features.

    Raises:
        ValueError: it has neither four axes nor two.
    """
    if len(shape) not in (2, 4):
        raise ValueError(
            f"{layer.type} reads (batch, channels, height, width) or (batch, features), but its input has the shape "
            f"{shape}"
        )


def expect_flat(layer: LayerBase, shape: Shape) -> None:
    """Refuse an input that is no batch of features.

    Raises:
        ValueError: it has not two axes.
    """
    if len(shape) != 2:
        raise ValueError(
            f"{layer.type} reads (batch, features), but its input has the shape {shape}; put a flatten layer before it"
        )


def expect_features(layer: LayerBase, shape: Shape) -> None:
    """Refuse an input without an axis of features behind the batch.

    Raises:
        ValueError: it has one axis.
    """
    if len(shape) < 2:
        raise ValueError(f"{layer.type} reads (batch, ..., features), but its input has the shape {shape}")
