"""What memory a run needs, told from the shapes of its network before anything is made.

The figures are what is certainly held at one time, so that a run that fits is not refused: measured peaks are 1 to 2
times as high (`tests/unit/iteration/test_memory_need.py` holds them).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from sim.sampling.step_cut import PILOT_IMAGES
from workloads.host import parameter_shapes
from workloads.memory import require_memory
from workloads.network import Network
from workloads.shapes import ConvShape, LayerShape
from workloads.workload import Workload

FLOAT_BYTES = 4
# The interpreter with its libraries and the compiled kernels: what the smallest run takes.
PROCESS_BYTES = 200 * 2**20
# Of a convolution's table of tasks, for each row of a result: cycles, bursts and the events of two machines.
ROW_BYTES = 300
# Threads work on a step each; two of the largest meet at least.
STEPS_AT_ONCE = 2


def require_run_memory(
    workload: Workload,
    layers: Iterable[str],
    *,
    verifies: bool,
    is_sampled: bool,
    limit_bytes: int | None,
    jobs: int = 1,
) -> None:
    """Refuse a run that needs more memory than there is, and say what would need less.

    Args:
        layers: The names of those that are simulated.
        limit_bytes: Of what the host's pass keeps in memory.

    Raises:
        InputError: it does not fit.
    """
    needed = estimate_memory(
        workload, layers, verifies=verifies, is_sampled=is_sampled, limit_bytes=limit_bytes, jobs=jobs
    )
    is_host = workload.form.operands is not None and workload.form.operands.runs_iteration
    ways = [
        ("a smaller --batch", workload.form.batch > 1),
        ("--sample auto", not is_sampled and not is_host),
        ("--no-verify", verifies and not is_sampled),
        ("--memory-limit", is_host and limit_bytes is None),
        ("--layers", not is_host),
    ]
    words = [way for way, helps in ways if helps]
    advice = f"; try {' or '.join((', '.join(words[:-1]), words[-1])) if len(words) > 1 else words[0]}" if words else ""
    # The process itself is there already.
    require_memory(needed - PROCESS_BYTES, f"{workload.label}: the run", advice)


def estimate_memory(
    workload: Workload,
    layers: Iterable[str],
    *,
    verifies: bool,
    is_sampled: bool,
    limit_bytes: int | None = None,
    jobs: int = 1,
) -> int:
    """Return the bytes that a run holds at its peak."""
    network, source = workload.network, workload.form.operands
    shapes = [network.layer_shape(name) for name in layers]
    if source is not None and source.runs_iteration:
        kept = size_host(network, source.value_bytes)
        kept = kept if limit_bytes is None else min(kept, limit_bytes)
        steps = 0 if is_sampled else STEPS_AT_ONCE * max(size_step(shape, verifies) for shape in shapes)
        return PROCESS_BYTES + kept + size_parameters(network) + steps
    # Where operands can be made singly, a sample makes the images that it looks at.
    if is_sampled and (source is None or source.makes_images):
        return PROCESS_BYTES + max(size_operands(shape, images=min(shape.batch, PILOT_IMAGES)) for shape in shapes)
    steps = max(STEPS_AT_ONCE, jobs) * max(size_step(shape, verifies) for shape in shapes)
    return PROCESS_BYTES + max(size_operands(shape) for shape in shapes) + steps


def size_operands(shape: LayerShape, images: int | None = None) -> int:
    """Return the bytes of a layer's input, weight and gradient to the output, of some images or of all."""
    share = 1.0 if images is None else images / shape.batch
    activations = prod(shape.input_shape) + prod(shape.output_shape)
    return int(FLOAT_BYTES * (share * activations + prod(shape.weight_shape)))


def size_step(shape: LayerShape, verifies: bool) -> int:
    """Return the bytes of a step's table of tasks and, where values are compared, of its result and the reference."""
    values = _largest(shape) * verifies
    if not isinstance(shape, ConvShape):
        # It is compared in small parts.
        return FLOAT_BYTES * values
    rows = shape.batch * max(shape.out_channels * shape.out_height, shape.in_channels * shape.in_height)
    return ROW_BYTES * rows + (FLOAT_BYTES + 8) * values


def size_host(network: Network, item_bytes: int) -> int:
    """Return the bytes that the host's pass keeps of an iteration: layers' inputs and gradients, inputs of passes."""
    pairs = (pair for node in network.compute_nodes() for pair in zip(node.inputs, node.input_shapes, strict=True))
    kept = {source: prod(shape) for source, shape in pairs}
    gradients = sum(prod(node.output_shape) for node in network.compute_nodes())
    passed = (node for node in network.nodes if node.layer.traits.keeps_input and not node.layer.traits.is_computed)
    inputs = sum(prod(node.input_shapes[0]) for node in passed)
    return item_bytes * (sum(kept.values()) + gradients + inputs + count_kept_outputs(network))


def count_kept_outputs(network: Network) -> int:
    """Count the elements of outputs that only the layer's own backward reads; of a ReLU's it needs but flags."""
    kept = (node for node in network.nodes if node.layer.traits.keeps_output and not node.layer.traits.makes_zeros)
    alone = (node for node in kept if not any(one.layer.traits.keeps_input for one in network.consumers(node.name)))
    return sum(prod(node.output_shape) for node in alone)


def size_parameters(network: Network) -> int:
    """Return the bytes of all parameters."""
    return FLOAT_BYTES * sum(prod(shape) for shape in parameter_shapes(network).values())


def _largest(shape: LayerShape) -> int:
    return max(prod(shape.input_shape), prod(shape.output_shape), prod(shape.weight_shape))
