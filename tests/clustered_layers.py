"""Layers whose zeros stand together and whose images are of unequal density, as those of real feature maps are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.fields import cut_field, draw_field
from workloads.operands import Operands
from workloads.settings import Clustering
from workloads.shapes import LayerShape, Step

# A fifth of the variance is the image's own, so that densities of 0.5 range from 0.3 to 0.7.
CLUSTERING = Clustering(correlation_length=1.0, channel_variance=0.2, image_variance=0.2)


def draw_tensor(shape: tuple[int, ...], density: float, seed: int, place: str) -> NDArray[np.float32]:
    """Draw a batch of clustered tensors, each image with a density of its own."""
    images = [cut_field(draw_field(shape[1:], CLUSTERING, seed, place, image), density) for image in range(shape[0])]
    return np.stack(images)


def draw_clustered(shape: LayerShape, seed: int, density: float = 0.45) -> Operands:
    """Draw a layer behind a ReLU, whose output goes through a ReLU."""
    rng = np.random.default_rng(seed)
    input = draw_tensor(shape.input_shape, density, seed, "input")
    weight = rng.standard_normal(shape.weight_shape, dtype=np.float32)
    grad_output = draw_tensor(shape.output_shape, density / 2, seed, "grad_output")
    return Operands("layer", shape, input, weight, None, grad_output, input != 0, tuple(Step), relu_follows=True)
