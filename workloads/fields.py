"""Random fields whose zeros stand together, as they do in real feature maps.

An element of a feature map is nonzero where a field f, normal with mean 0 and variance 1 in every element, exceeds the
threshold that a normal number exceeds with probability `density`; behind a ReLU its value is the excess. With shares
a (`channel_variance`) and b (`image_variance`)::

    f[n, c, h, w] = sqrt(1 - a - b) g[n, c, h, w] + sqrt(a) u[c] + sqrt(b) v[n]

u and v are independent standard normal numbers: some channels, and some images, have more zeros than others. g is white
noise smoothed by a Gaussian of standard deviation l (`correlation_length`, in elements) over height and width, scaled
back to variance 1: two of its elements at the distance d correlate by exp(-d^2 / (4 l^2)), nearly so for l below 1.
Since f is standard normal whatever a, b and l are, the expected share of nonzeros is the density, exactly.

The defaults (l = 0.8, a = 0.3, b = 0.005) are assumed, but for their common effect: neighbours within 2 x 2 elements
correlate by 0.72. The zeros before and after each of VGG-16's five 2 x 2 poolings, in profiles/vgg16.csv, ask for 0.62
to 0.83 (column last, mean 0.73), where independent zeros would leave far more nonzeros behind the pooling.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from workloads.arrays import Float32Array
from workloads.draws import keyed_generator
from workloads.settings import Clustering

# Three standard deviations hold all but 0.3 percent of the smoothing.
KERNEL_REACH = 3.0


def draw_field(
    shape: tuple[int, ...], clustering: Clustering | None, seed: int, place: str, image: int
) -> Float32Array:
    """Draw one image's standard normal field ``(C, H, W)`` or ``(C,)``, keyed by (seed, place, image) alone.

    Without clustering all elements are independent; a ``(C,)`` field has no neighbours to be smoothed over.
    """
    generator = keyed_generator(seed, place, "field", image)
    if clustering is None:
        return np.asarray(generator.standard_normal(shape, dtype=np.float32))
    kernel = make_kernel(clustering.correlation_length) if len(shape) == 3 else np.ones(1, np.float32)
    reach = len(kernel) - 1
    padded = (shape[0], *(size + reach for size in shape[1:]))
    noise: Float32Array = np.asarray(generator.standard_normal(padded, dtype=np.float32))
    for axis in range(1, len(shape)):
        noise = smooth_axis(noise, kernel, axis, shape[axis])
    channels = keyed_generator(seed, place, "channels").standard_normal(shape[0], dtype=np.float32)
    common = keyed_generator(seed, place, "image", image).standard_normal(dtype=np.float32)
    own = 1 - clustering.channel_variance - clustering.image_variance
    offsets = np.sqrt(np.float32(clustering.channel_variance)) * channels
    offsets += np.sqrt(np.float32(clustering.image_variance)) * common
    noise *= np.sqrt(np.float32(own))
    return np.asarray(noise + offsets.reshape(-1, *(1,) * (len(shape) - 1)))


def make_kernel(correlation_length: float) -> Float32Array:
    """Sample a Gaussian of this standard deviation, in elements; its squares sum to 1, so that variance is kept."""
    reach = int(np.ceil(KERNEL_REACH * correlation_length))
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = np.exp(-(offsets**2) / (2 * correlation_length**2)) if reach else np.ones(1)
    return np.asarray(kernel / np.sqrt((kernel**2).sum()), np.float32)


def smooth_axis(noise: Float32Array, kernel: Float32Array, axis: int, size: int) -> Float32Array:
    """Correlate noise with a kernel along an axis; `size` elements are left of it, all alike in their statistics."""
    smooth = np.zeros((*noise.shape[:axis], size, *noise.shape[axis + 1 :]), np.float32)
    for tap, weight in enumerate(kernel):
        part = (slice(None),) * axis + (slice(tap, tap + size),)
        smooth += noise[part] * weight
    return smooth


def cut_field(field: Float32Array, density: float) -> Float32Array:
    """Keep the excess of a standard normal field over the threshold that a share `density` of it exceeds."""
    if density >= 1:
        magnitude: Float32Array = np.abs(np.where(field == 0, np.float32(1), field))
        return magnitude
    if density <= 0:
        return np.zeros_like(field)
    threshold = np.float32(NormalDist().inv_cdf(1 - density))
    excess: Float32Array = np.maximum(field - threshold, np.float32(0))
    return excess
