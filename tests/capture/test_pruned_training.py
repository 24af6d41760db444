"""A training loop of one's own prunes as the host does: same sites, thresholds, FIFO and draws."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from peers import import_peer

torch = import_peer("torch")

from capture.comparison import LayerWatch, list_parameters  # noqa: E402
from capture.models import SmallCnn, make_batch, make_loss, make_model  # noqa: E402
from torch import nn  # noqa: E402

from sim import simulate  # noqa: E402
from sim.results.rows import make_frame  # noqa: E402
from workloads.capture import capture, prune_gradients  # noqa: E402
from workloads.capture.pruner import GradientPruner  # noqa: E402
from workloads.errors import InputError  # noqa: E402
from workloads.host import FLOAT64  # noqa: E402
from workloads.opening import open_operands  # noqa: E402
from workloads.pruning import PruningState  # noqa: E402
from workloads.settings import GradientPruning  # noqa: E402
from workloads.training.iteration import PrunedIteration, run_pruned_iteration  # noqa: E402

pytestmark = pytest.mark.peers

RATE, SEED, DEPTH, BATCH = 0.9, 5, 2, 2
# The number of batches of which some are pruned with a full FIFO, and some not at all.
BATCHES = DEPTH + 2


def run_host(model: nn.Module, network: Any, number: int, state: PruningState, pruning: GradientPruning, size: int,
             ) -> PrunedIteration:  # fmt: skip
    images, labels = make_batch(BATCH, size, number)
    return run_pruned_iteration(
        network, list_parameters(model, network), (images.numpy(), labels.numpy()), pruning=pruning, state=state,
        seed=SEED, iteration=number, options=FLOAT64,
    )  # fmt: skip


def compare_gradients(watch: LayerWatch, pruner: GradientPruner, host: PrunedIteration, relative: float) -> None:
    """Compare element by element: the same are zero, the same are snapped to the threshold, the rest is the same."""
    assert pruner.last is not None
    for name, tensors in host.iteration.tensors.items():
        ours, theirs = watch.gradients[name], tensors.grad_output
        np.testing.assert_array_equal(ours != 0, theirs != 0)
        np.testing.assert_allclose(ours, theirs, rtol=max(relative, 1e-10), atol=1e-14)
        if name in host.prunings:
            snapped = [np.abs(ours) == pruner.last.prunings[name].threshold]
            snapped.append(np.abs(theirs) == host.prunings[name].threshold)
            np.testing.assert_array_equal(*snapped)
    for mine, other in zip(pruner.last.prunings.values(), host.prunings.values(), strict=True):
        assert (mine.site, mine.density_before, mine.density_after) == (
            other.site, other.density_before, other.density_after,
        )  # fmt: skip
        assert mine.threshold == pytest.approx(other.threshold, rel=relative, abs=0)
        assert mine.own_threshold == pytest.approx(other.own_threshold, rel=relative, abs=0)


# Batch norm over few values, as in the last blocks of MobileNetV2, spreads float64's roundings beyond float32's.
@pytest.mark.parametrize(
    ("name", "threshold", "relative"),
    [
        ("small", "fifo", 0),
        ("small", "own_batch", 0),
        ("resnet18", "fifo", 0),
        ("dense", "fifo", 0),
        ("mobilenetv2", "own_batch", 1e-5),
    ],
)
def test_gradients_are_those_of_the_host_element_by_element(name: str, threshold: Any, relative: float) -> None:
    model, size = make_model(name)
    images, labels = make_batch(BATCH, size)
    network = capture(model, images, make_loss(labels)).workload.network
    pruning = GradientPruning(rate=RATE, fifo_depth=DEPTH, threshold=threshold, warmup_batches=DEPTH)
    state = PruningState(DEPTH)
    pruner = prune_gradients(model, RATE, seed=SEED, fifo_depth=DEPTH, threshold=threshold)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for number in range(BATCHES):
        host = run_host(model, network, number, state, pruning, size)
        state = host.state
        images, labels = make_batch(BATCH, size, number)
        watch = LayerWatch(model)
        optimiser.zero_grad()
        make_loss(labels)(model(images)).backward()
        watch.leave()
        assert pruner.last is not None
        assert pruner.last.iteration == number
        compare_gradients(watch, pruner, host, relative)
        optimiser.step()
    assert any(one.density_after < one.density_before for one in pruner.last.prunings.values())


@pytest.mark.parametrize("threshold_model", ["quantile", "lognormal"])
def test_other_models_of_the_threshold_are_those_of_the_host(threshold_model: str) -> None:
    model, size = make_model("small")
    images, labels = make_batch(BATCH, size, 0)
    network = capture(model, images, make_loss(labels)).workload.network
    pruning = GradientPruning(rate=RATE, threshold="own_batch", model=threshold_model)
    pruner = prune_gradients(model, RATE, seed=SEED, threshold="own_batch", threshold_model=threshold_model)
    host = run_host(model, network, 0, PruningState(DEPTH), pruning, size)
    watch = LayerWatch(model)
    make_loss(labels)(model(images)).backward()
    watch.leave()
    # The same sums of gradients in another order decide on the fitted threshold.
    compare_gradients(watch, pruner, host, 1e-5)


def test_an_unknown_model_of_the_threshold_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        prune_gradients(make_model("small")[0], RATE, threshold_model="gauss")
    assert str(caught.value) == (
        "prune_gradients: unknown threshold model 'gauss'; registered are normal, quantile, lognormal"
    )


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_a_recording_of_a_pruned_training_carries_thresholds_and_keys(name: str) -> None:
    model, size = make_model(name)
    pruner = prune_gradients(model, RATE, seed=SEED, fifo_depth=DEPTH)
    pruning = GradientPruning(rate=RATE, fifo_depth=DEPTH, warmup_batches=DEPTH)
    for number in range(DEPTH):
        images, labels = make_batch(BATCH, size, number)
        make_loss(labels)(model(images)).backward()
    images, labels = make_batch(BATCH, size, DEPTH)
    recording = capture(model, images, make_loss(labels))
    assert pruner.iteration == DEPTH
    host = run_host(model, recording.workload.network, DEPTH, pruner.state, pruning, size)
    assert recording.form["operands"]["pruning"] == {
        "seed": SEED, "iteration": DEPTH, "rate": RATE,
        "thresholds": {node: one.threshold for node, one in host.prunings.items()},
    }  # fmt: skip
    theirs = {operands.layer: operands for operands in host.operands()}
    for operands in open_operands(recording.workload).layers:
        assert (operands.finish.tau, operands.finish.key) == (
            theirs[operands.layer].finish.tau, theirs[operands.layer].finish.key,
        )  # fmt: skip
    run = simulate(recording, baseline=None)
    assert run.is_correct
    assert make_frame(run.steps)["pruning_pj"].sum() > 0


def test_a_recording_names_a_model_of_the_threshold_that_is_not_the_normal_one() -> None:
    model, size = make_model("small")
    prune_gradients(model, RATE, seed=SEED, threshold="own_batch", threshold_model="quantile")
    images, labels = make_batch(BATCH, size, 0)
    recording = capture(model, images, make_loss(labels))
    assert recording.form["operands"]["pruning"]["model"] == "quantile"
    run = simulate(recording, baseline=None)
    assert run.is_correct
    assert run.record["policies"]["sparsetrain"]["pruning"]["model"] == "quantile"


def test_a_training_is_as_before_where_pruning_is_removed() -> None:
    model, size = make_model("small")
    images, labels = make_batch(BATCH, size)
    model.zero_grad()
    make_loss(labels)(model(images)).backward()
    plain = [parameter.grad.clone() for parameter in model.parameters()]
    pruner = prune_gradients(model, RATE, seed=SEED, threshold="own_batch")
    model.zero_grad()
    make_loss(labels)(model(images)).backward()
    assert not all(
        torch.allclose(one, parameter.grad, rtol=1e-9, atol=1e-12)
        for one, parameter in zip(plain, model.parameters(), strict=True)
    )
    pruner.remove()
    model.zero_grad()
    make_loss(labels)(model(images)).backward()
    assert all(
        torch.allclose(one, parameter.grad, rtol=1e-9, atol=1e-12)
        for one, parameter in zip(plain, model.parameters(), strict=True)
    )


def test_a_pass_without_gradients_or_in_evaluation_is_no_batch() -> None:
    model, size = make_model("small")
    pruner = prune_gradients(model, RATE)
    with torch.no_grad():
        model(make_batch(BATCH, size)[0])
    model(make_batch(BATCH, size)[0])
    model.eval()
    images, labels = make_batch(BATCH, size)
    make_loss(labels)(model(images)).backward()
    assert (pruner.iteration, pruner.last) == (0, None)
    assert repr(pruner) == "<GradientPruner of SmallCnn: rate 0.9, 0 batches so far>"


def test_narrow_gradients_stay_narrow() -> None:
    model = SmallCnn().bfloat16()
    pruner = prune_gradients(model, RATE, threshold="own_batch")
    images, labels = make_batch(BATCH, 16)
    make_loss(labels)(model(images.bfloat16())).backward()
    assert pruner.last is not None
    assert all(one.threshold > 0 for one in pruner.last.prunings.values())
    assert all(parameter.grad.dtype == torch.bfloat16 for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1.0}, "prune_gradients needs a rate from 0 to below 1, a fifo_depth from 1 to 1024 and the threshold "
         "'fifo' or 'own_batch', got 1.0, 5 and 'fifo'"),
        ({"rate": 0.5, "threshold": "own"}, "prune_gradients needs a rate from 0 to below 1, a fifo_depth from 1 to "
         "1024 and the threshold 'fifo' or 'own_batch', got 0.5, 5 and 'own'"),
        ({"rate": 0.5, "fifo_depth": 0}, "prune_gradients needs a rate from 0 to below 1, a fifo_depth from 1 to 1024 "
         "and the threshold 'fifo' or 'own_batch', got 0.5, 0 and 'fifo'"),
        ({"rate": 0.5, "seed": -1}, "the seed must be a whole number from 0 to 9223372036854775807, got -1"),
    ],
)  # fmt: skip
def test_what_is_out_of_its_range_is_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        prune_gradients(SmallCnn(), **options)
    assert str(caught.value) == message


def test_a_model_is_pruned_once() -> None:
    model = SmallCnn()
    prune_gradients(model, RATE)
    with pytest.raises(InputError) as caught:
        prune_gradients(model, RATE)
    assert str(caught.value) == "the gradients of SmallCnn are pruned already; remove() ends that"
    with pytest.raises(InputError) as caught:
        prune_gradients("model", RATE)
    assert str(caught.value) == "prune_gradients needs a torch.nn.Module, got str"


def test_a_copy_of_a_model_can_be_made_and_evaluated() -> None:
    model, size = make_model("small")
    pruner = prune_gradients(model, RATE)
    images, labels = make_batch(BATCH, size)
    make_loss(labels)(model(images)).backward()
    average = copy.deepcopy(model).eval()
    assert torch.equal(average(images), model.eval()(images))
    assert pruner.iteration == 1
