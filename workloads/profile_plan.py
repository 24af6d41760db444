"""How each tensor of a `profile` workload is made: from a figure of the table, or by a rule that has a name.

Rules for activations, where the table has no row:

- *network input*: the images are dense.
- *no ReLU*: the output of a convolution, fully connected layer, batch norm or sum has no zeros.
- *derived*: pooling, flatten, dropout and concat are carried out on the tensor they read.

A ReLU's output has no rule: its density is what a profile is there to tell, itself or as the input of a layer that
reads it.

Rules for the gradient to a layer's output; where it is pruned at the rate p, the share left(p) (`share_left` of
`workloads.pruners.normal`) remains, or as much as its own figure says, where the table has one of the gradient that is
pruned. `workloads.pruning_sites` says where that is:

- *behind batch norm*: dense before the pruning, so left(p). *Made dense again*: likewise, behind a softmax or another
  normalisation.
- *behind the loss*: dense, and not pruned.
- *behind a ReLU*: at the end of the pooling, flatten and dropout that follow the ReLU stands the tensor T that other
  layers read. If one of them is a convolution or fully connected layer, the gradient to T is nonzero where T is, and
  pruned there: density of T times left(p). Else it is dense. From there it is handed back: average pooling spreads it
  over its window, max pooling gives it to the window's maximum, ReLU zeroes it where its output is zero.
- *without a mask*: dense and not pruned, where a convolution or fully connected layer reads the output directly.

A sum, flatten, average pooling and activations without zeros before these hand the gradient on. Weights without a row
are dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from workloads.errors import InputError
from workloads.kinds.profile_rules import GradientRule, OutputRule
from workloads.network import Network, Node
from workloads.normal_pruning import Thinning, thin_at_rate, thin_to
from workloads.profile import Profile
from workloads.pruning_sites import find_pruning_sites


@dataclass(frozen=True)
class DrawnTensor:
    """A tensor that is drawn: one image's shape, its density, and whether it comes out of a ReLU."""

    place: str
    shape: tuple[int, ...]
    density: float
    is_rectified: bool
    rule: str


@dataclass(frozen=True)
class DerivedTensor:
    """A tensor that a layer makes from others.

    Attributes:
        density: The expected one, None where only the tensor itself tells.
    """

    node: Node
    sources: tuple[TensorPlan, ...]
    density: float | None
    rule: str


TensorPlan = DrawnTensor | DerivedTensor


@dataclass(frozen=True)
class GradientPlan:
    """How the gradient to a layer's output is made.

    Attributes:
        support: The tensor at the end of `path` whose nonzeros alone bear it; None: all elements do.
        shape: Of one image where it starts.
        path: Layers that hand it back, the one nearest to the layer first, with what each gives out.
        thinning: How it is pruned at its start; None where it is not.
        density: As of a tensor.
    """

    shape: tuple[int, ...]
    support: TensorPlan | None
    path: tuple[tuple[Node, TensorPlan], ...]
    thinning: Thinning | None
    density: float | None
    rule: str


def list_output_figures(network: Network) -> frozenset[str]:
    """Name the nodes whose output a profile has to tell, for it is the input of no layer that is computed."""
    read = {node.inputs[0] for node in network.compute_nodes()}
    return frozenset(
        node.name
        for node in network.nodes
        if not node.layer.traits.is_loss and node.layer.profile.output is OutputRule.FIGURE and node.name not in read
    )


def plan_input(network: Network, profile: Profile, name: str) -> TensorPlan:
    """Plan the input of a convolution or fully connected layer.

    Raises:
        InputError: there is no figure for it, and no rule covers it.
    """
    node = network.node(name)
    own = profile.density(name, "input")
    if own is not None:
        is_rectified = network.is_behind_relu(name)
        return DrawnTensor(f"{name}/input", network.layer_shape(name).input_shape[1:], own, is_rectified, "figure")
    return plan_output(network, profile, node.inputs[0])


def plan_factor(network: Network, profile: Profile, name: str) -> TensorPlan:
    """Plan the second factor of a product of two activations; its figure is the layer's of the weight.

    Raises:
        InputError: there is no figure for it, and no rule covers it.
    """
    first, source = network.node(name).inputs
    own = profile.density(name, "weight")
    if first == source:
        if own is not None:
            raise InputError(
                f"{profile.label}: the row {name},weight stands for no tensor, since '{name}' multiplies '{first}' "
                f"with itself; the row {name},input stands for both"
            )
        return plan_input(network, profile, name)
    if own is not None:
        shape = network.layer_shape(name).weight_shape[1:]
        return DrawnTensor(f"{name}/weight", shape, own, network.is_behind_relu(name, source), "figure")
    return plan_output(network, profile, source)


def plan_output(network: Network, profile: Profile, name: str) -> TensorPlan:
    """Plan what a node gives out, or the network's input.

    Raises:
        InputError: there is no figure for it, and no rule covers it.
    """
    if network.is_source(name):
        return DrawnTensor(name, network.output_shape(name)[1:], 1.0, False, "network input")
    node = network.node(name)
    figure = profile.density(name, "output")
    if figure is not None:
        is_rectified = network.gives_rectified(name)
        return DrawnTensor(f"{name}/output", node.output_shape[1:], figure, is_rectified, "figure")
    rule = node.layer.profile.output
    if rule is OutputRule.DENSE:
        return DrawnTensor(f"{name}/output", node.output_shape[1:], 1.0, False, rule.value)
    if rule is OutputRule.DERIVED:
        sources = tuple(plan_output(network, profile, source) for source in node.inputs)
        return DerivedTensor(node, sources, derive_density(node, sources), f"derived by {node.layer.type}")
    for reader in network.consumers(name):
        if reader.layer.traits.is_computed and reader.inputs[0] == name and profile.density(reader.name, "input"):
            return plan_input(network, profile, reader.name)
    raise InputError(
        f"{profile.label}: no row gives the output of '{name}', and no rule covers a {node.layer.type} layer; "
        f"add the row {name},output"
    )


def plan_gradient(network: Network, profile: Profile, name: str, rate: float) -> GradientPlan:
    """Plan the gradient to the output of a convolution or fully connected layer.

    Args:
        rate: Of pruning, 0 if there is none.

    Raises:
        InputError: there is no figure for it, and no rule covers it.
    """
    shape = network.node(name).output_shape[1:]
    own = profile.density(name, "grad_output")
    if own is not None:
        drawn = DrawnTensor(f"{name}/grad_output", shape, own, False, "figure")
        return GradientPlan(shape, drawn, (), None, own, "figure")
    reader = network.node(name)
    while True:
        readers = network.consumers(reader.name)
        if len(readers) != 1 and not (readers and all(one.layer.traits.is_loss for one in readers)):
            raise _uncovered(profile, name, f"{len(readers)} layers read '{reader.name}'")
        source, reader = reader.name, readers[0]
        rule = reader.layer.profile.gradient
        if reader.layer.traits.sums_inputs and network.writes_gradient(reader.name, source):
            raise _uncovered(profile, name, f"'{reader.name}' ({reader.layer.type}) spreads it over positions")
        if rule is GradientRule.BEHIND_RELU:
            return _plan_behind_relu(network, profile, name, reader, rate)
        if rule is GradientRule.BEHIND_BATCH_NORM or rule is GradientRule.MADE_DENSE:
            thinning = plan_thinning(network, profile, source, rate, 1.0)
            return GradientPlan(shape, None, (), thinning, 1.0 if thinning is None else thinning.left, rule.value)
        if rule is GradientRule.BEHIND_LOSS or rule is GradientRule.WITHOUT_MASK:
            return GradientPlan(shape, None, (), None, 1.0, rule.value)
        if rule is GradientRule.FIGURE:
            raise _uncovered(profile, name, f"'{reader.name}' ({reader.layer.type}) reads it without a ReLU between")


def plan_thinning(
    network: Network, profile: Profile, name: str, rate: float, support_density: float | None
) -> Thinning | None:
    """Plan how the gradient to a node's output is pruned; None where it is not.

    That is what leaves its figure, where the table has one, of a gradient that is nonzero where `support_density` says;
    else what the rate leaves of normal numbers.
    """
    if not rate or name not in find_pruning_sites(network):
        return None
    figure = profile.density(name, "grad_output")
    if figure is None or not support_density:
        return thin_at_rate(rate)
    return thin_to(figure / support_density)


def _plan_behind_relu(network: Network, profile: Profile, name: str, relu: Node, rate: float) -> GradientPlan:
    path = [relu]
    while len(readers := network.consumers(path[-1].name)) == 1 and is_passed_on(readers[0]):
        path.append(readers[0])
    feeds_compute = any(reader.layer.traits.is_computed for reader in readers)
    plans = [(node, plan_output(network, profile, node.name)) for node in path]
    # What is drawn by its own figure says nothing about the tensors before it, so those mask no gradient.
    for node, plan in plans[1:]:
        if isinstance(plan, DrawnTensor) and (obstacle := node.layer.find_obstacle()) is not None:
            raise _uncovered(profile, name, f"{obstacle}, and it has a figure")
    support = plans[-1][1] if feeds_compute else None
    thinning = plan_thinning(network, profile, path[-1].name, rate, None if support is None else support.density)
    density = _expect_density(plans, support, 1.0 if thinning is None else thinning.left)
    shape = path[-1].output_shape[1:]
    return GradientPlan(shape, support, tuple(plans), thinning, density, GradientRule.BEHIND_RELU.value)


def is_passed_on(node: Node) -> bool:
    """Tell whether a gradient goes through a layer that stands alone behind a ReLU; a concatenation has others.

    One that makes a pruned gradient dense again hands a new one back, dense within the ReLU's mask.
    """
    traits = node.layer.traits
    return traits.hands_zeros_on and not (traits.is_joined or traits.is_part or traits.densifies_gradient)


def _expect_density(plans: list[tuple[Node, TensorPlan]], support: TensorPlan | None, left: float) -> float | None:
    """Expected density at the ReLU's input, in closed form; None where only the tensors themselves tell."""
    relu_density = plans[0][1].density
    if len(plans) == 1:
        return None if relu_density is None else relu_density * left
    is_spread = any(node.layer.profile.spreads_gradient for node, _ in plans[1:])
    if support is None or support.density is None or is_spread:
        return None
    elements, windows = prod(plans[0][0].output_shape), prod(plans[-1][0].output_shape)
    return support.density * left * windows / elements


def derive_density(node: Node, sources: tuple[TensorPlan, ...]) -> float | None:
    """Expected density of what a layer makes of what it reads; None where only the tensors themselves tell."""
    known = [source.density for source in sources if source.density is not None]
    if len(known) < len(sources):
        return None
    return node.layer.derive_density(known, [prod(shape) for shape in node.input_shapes])


def _uncovered(profile: Profile, name: str, reason: str) -> InputError:
    return InputError(
        f"{profile.label}: no row gives grad_output of '{name}', and no rule covers it: {reason}; "
        f"add the row {name},grad_output"
    )
