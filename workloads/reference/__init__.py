"""The right answer in numpy: forward and backward of every layer kind, float32 and float64, dtype in = dtype out."""

from workloads.reference.bounds import bound_forward, bound_gta, bound_gtw, sum_length
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.reference.fully_connected import linear_forward, linear_gta, linear_gtw
from workloads.reference.matmul import matmul_forward, matmul_gta, matmul_gtw
from workloads.reference.steps import require_float32, run_forward, run_gta, run_gtw, spread_bias
from workloads.reference.threads import fixed_blas_threads

__all__ = [
    "bound_forward",
    "bound_gta",
    "bound_gtw",
    "conv_forward",
    "conv_gta",
    "conv_gtw",
    "fixed_blas_threads",
    "linear_forward",
    "linear_gta",
    "linear_gtw",
    "matmul_forward",
    "matmul_gta",
    "matmul_gtw",
    "require_float32",
    "run_forward",
    "run_gta",
    "run_gtw",
    "spread_bias",
    "sum_length",
]
