"""A kind of layer that a question does not know is refused by name; none costs nothing because it was forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from sim.step.stored_tensors import size_output
from workloads import passes
from workloads.host import initial_parameters, parameter_shapes
from workloads.inference import infer_output
from workloads.kinds import KINDS, LayerBase, name_kind
from workloads.kinds.conv2d import Conv2d
from workloads.kinds.execution import Place
from workloads.kinds.layer import Traits
from workloads.kinds.profile_rules import OutputRule
from workloads.kinds.table import list_computed, load_kind
from workloads.network import Network, Node
from workloads.profile import Profile
from workloads.profile_plan import DrawnTensor, GradientPlan, derive_density, plan_gradient, plan_output
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruning_sites import find_pruning_sites
from workloads.row_kinds import COMPUTE_KINDS
from workloads.sources.synthetic import make_synthetic

IMAGE = (1, 2, 4, 4)


class Swish(LayerBase):
    """A kind that no file can name, as one that is new to the schema would be to the rest."""

    type: Literal["swish"]


SWISH: Any = Swish(name="odd", type="swish")
NODES = (
    Node(Conv2d(name="first", type="conv2d", out_channels=2, kernel=1), ("input",), (IMAGE,), IMAGE),
    Node(SWISH, ("first",), (IMAGE,), IMAGE),
    Node(Conv2d(name="last", type="conv2d", out_channels=2, kernel=1), ("odd",), (IMAGE,), IMAGE),
)
ODD = NODES[1]
FIGURES = Profile("own.csv", "density", {}, {})
DRAWN = DrawnTensor("first/output", IMAGE[1:], 0.5, True, "figure")
PLACE = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)


def make_network() -> Network:
    """Make the network anew, for it remembers answers."""
    return Network("odd", IMAGE, NODES)


TRAITS = "what it does for its neighbours"
LADDERS: dict[str, tuple[str, Callable[[], object]]] = {
    "traits": (TRAITS, lambda: SWISH.traits),
    "input count": (TRAITS, lambda: infer_output(SWISH, ("first",), (IMAGE,))),
    "infer_output": ("the shape of its output", lambda: SWISH.infer_output(("first",), (IMAGE,))),
    "infer_geometry": ("its geometry", lambda: SWISH.infer_geometry(IMAGE)),
    "forward_work": ("its forward pass", lambda: passes.make_forward_pass(make_network(), ODD)),
    "backward_work": (
        "its backward pass",
        lambda: passes.make_backward_pass(make_network(), ODD, frozenset({"first"})),
    ),
    "list_parameters": ("which parameters it has", lambda: parameter_shapes(make_network())),
    "locate_part": ("which part of its input it is", lambda: SWISH.locate_part()),
    "run": ("its output", lambda: SWISH.run([np.zeros(IMAGE, np.float32)], {}, PLACE)),
    "evaluate": ("its loss", lambda: SWISH.evaluate(np.zeros((1, 2), np.float32), np.zeros(1, np.int64))),
    "list_passes": (TRAITS, lambda: passes.list_passes(make_network())),
    "find_stored": (TRAITS, lambda: passes.find_stored(make_network(), "first")),
    "find_writer": (TRAITS, lambda: passes.find_writer(make_network(), "odd")),
    "find_gradient": (TRAITS, lambda: passes.find_gradient(make_network(), "first")),
    "compute_nodes": (TRAITS, lambda: make_network().compute_nodes()),
    "trained": (TRAITS, lambda: make_network().trained),
    "writes_gradient": (TRAITS, lambda: make_network().writes_gradient("odd", "first")),
    "is_behind_relu": (TRAITS, lambda: make_network().is_behind_relu("last")),
    "initial_parameters": ("which parameters it has", lambda: initial_parameters(make_network(), 1)),
    "find_pruning_sites": (TRAITS, lambda: find_pruning_sites(make_network())),
    "plan_gradient": ("its rules for profiles", lambda: plan_gradient(make_network(), FIGURES, "first", 0.0)),
    "derive_output": ("its output in a profile", lambda: SWISH.derive_output([], np.random.default_rng)),
    "find_obstacle": ("whether it hands a gradient back where its input is unknown", lambda: SWISH.find_obstacle()),
    "plan_output": ("its rules for profiles", lambda: plan_output(make_network(), FIGURES, "odd")),
    "derived density": ("the density of its output", lambda: derive_density(ODD, (DRAWN,))),
    "size_output": (TRAITS, lambda: size_output(make_network(), "first", {}, 16)),
}


@pytest.mark.parametrize("name", LADDERS)
def test_a_question_refuses_a_kind_that_does_not_answer_it_by_name(name: str) -> None:
    question, ask = LADDERS[name]
    with pytest.raises(TypeError) as error:
        ask()
    assert str(error.value) == f"layer 'odd': {question} is not defined for the kind 'swish'"


def test_no_operands_are_made_beside_it() -> None:
    with pytest.raises(TypeError, match=r"^layer 'odd': "):
        list(make_synthetic(make_network(), None))  # type: ignore[arg-type]


def test_a_profile_hands_no_gradient_back_through_it() -> None:
    profiled = ProfiledNetwork(make_network(), FIGURES, 1)
    plan = GradientPlan(IMAGE[1:], None, ((ODD, DRAWN),), False, 1.0, "behind a ReLU")
    with pytest.raises(TypeError) as error:
        profiled._hand_back(plan, np.ones(IMAGE[1:], np.float32), 0)
    assert str(error.value) == "layer 'odd': its gradient in a profile is not defined for the kind 'swish'"


def test_a_geometry_without_a_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^no kind of layer has the geometry tuple$"):
        name_kind((1, 2))  # type: ignore[arg-type]


def test_a_class_without_traits_is_no_kind() -> None:
    with pytest.raises(
        TypeError, match=r"^Swish is no kind of layer: it does not say what it does for its neighbours$"
    ):
        _ = Swish.traits


def test_a_file_that_does_not_hold_the_kind_of_its_name_is_refused() -> None:
    with pytest.raises(TypeError) as error:
        load_kind("conv2d", "ComputedLayer")
    assert str(error.value) == (
        "workloads.kinds.conv2d.ComputedLayer must be a LayerBase with the field type: Literal['conv2d']"
    )


def list_questions() -> list[str]:
    """List the methods of a layer that refuse."""
    return [name for name, value in vars(LayerBase).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize("question", list_questions())
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_answers_every_question(kind: str, question: str) -> None:
    made = KINDS[kind]
    is_behind_relu = made.traits.makes_zeros or (
        made.traits.hands_zeros_on
        and not (made.traits.is_joined or made.traits.is_part or made.traits.densifies_gradient)
    )
    is_asked = {
        "infer_geometry": made.traits.is_computed,
        "hands_gradient_to": kind == "add",
        "list_statistics": kind == "batch_norm",
        "locate_part": made.traits.is_part,
        "run": not made.traits.is_loss,
        "evaluate": made.traits.is_loss,
        "derive_density": made.profile.output is OutputRule.DERIVED,
        "derive_output": made.profile.output is OutputRule.DERIVED,
        "find_obstacle": is_behind_relu,
        "hand_gradient_back": is_behind_relu,
    }
    is_answered = getattr(made, question) is not getattr(LayerBase, question)
    assert is_answered == is_asked.get(question, True)
    assert isinstance(made.traits, Traits)


REQUIRED: dict[str, dict[str, Any]] = {
    "conv2d": {"out_channels": 2, "kernel": 1},
    "conv1d": {"out_channels": 2, "kernel": 1},
    "conv_transpose2d": {"out_channels": 2, "kernel": 1},
    "linear": {"out_features": 3},
    "matmul": {"inputs": ["first", "second"], "transpose_b": True},
    "max_pool": {"kernel": 2},
    "avg_pool": {"kernel": 2},
    "group_norm": {"groups": 2},
    "local_response_norm": {"size": 3},
    "reshape": {"shape": [4, -1]},
    "transpose": {"axes": [3, 1, 2]},
    "channel_shuffle": {"groups": 2},
    "pixel_shuffle": {"upscale": 1},
    "split": {"sizes": [1, 1], "part": 0},
    "adaptive_avg_pool": {"output": 2},
    "upsample": {"scale": 2},
    "parameter": {"shape": [3]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_traits_of_a_kind_agree_with_what_it_does(kind: str) -> None:
    layer = KINDS[kind].model_validate({"name": "one", "type": kind, **REQUIRED.get(kind, {})})
    shape = {"linear": (1, 3), "softmax_cross_entropy": (1, 3), "conv1d": (1, 2, 1, 4)}.get(kind, IMAGE)
    shapes = (shape, shape) if layer.traits.reads_several else (shape,)
    output = layer.infer_output(("first", "second")[: len(shapes)], shapes)
    traits = layer.traits
    assert bool(layer.list_parameters(shape)) == traits.has_parameters
    has_forward = layer.forward_work(shapes, output) is not None
    assert has_forward != (
        traits.is_computed or traits.rides_along or traits.is_joined or traits.is_part or traits.is_source
    )
    has_backward = layer.backward_work(shapes, output) is not None
    assert has_backward != (traits.is_computed or traits.hands_gradient_on or traits.is_loss)
    assert all(layer.hands_gradient_to(read, output) == traits.hands_gradient_on for read in shapes)
    if traits.rides_along:
        assert traits.hands_gradient_on


def test_every_kind_that_the_accelerator_executes_has_rows_of_its_own_or_those_of_a_convolution() -> None:
    geometries = {kind: made.geometry for kind, made in list_computed().items()}
    names = {kind for kind in geometries if kind != "conv1d"}
    assert names == set(COMPUTE_KINDS)
    assert geometries["conv1d"] is geometries["conv2d"]
