"""The kinds of layers that have rows of steps in results, as their column `kind` names them; others are passes."""

from __future__ import annotations

# A convolution of signals stands among those of images.
CONVOLUTION_KINDS = ("conv2d", "conv_transpose2d")
COMPUTE_KINDS = (*CONVOLUTION_KINDS, "linear", "matmul")
