"""What stays in the buffer of a drawn network is what the plain model decides, from the tilings of the stepped one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_cases import exhaustive, thin
from oracle.residency import Decision, Unit
from oracle.stepped_conv import Conv
from oracle.stepped_linear import Linear
from oracle.stepped_lowering import Work
from oracle.stepped_records import Machine
from oracle.stepped_step import make_work
from pydantic import TypeAdapter

from sim.architecture import Architecture, load_architecture
from sim.step.pass_run import list_machine_iteration
from sim.step.residency import find_residency
from workloads.kinds import Layer
from workloads.network import build_network
from workloads.shapes import Step

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
SEED, CASES = 143, 220
CAPACITIES = (40, 60, 90, 140, 220, 350, 600, 2000)


class Chain:
    """A chain of convolutions, poolings and ReLUs, or of fully connected layers and ReLUs; no ReLU behind a pooling.

    tensors: t0, t1, ... between the layers, g0, g1, ... their gradients; a ReLU belongs to the layer before it.
    """

    def __init__(self, index: int, *, has_copies: bool = False) -> None:
        """Draw the layers and the machine.

        Args:
            has_copies: GTA reads a pruned copy of its gradient, c1, c2, ...
        """
        self.has_copies = has_copies
        rng = np.random.default_rng((SEED, index))
        self.is_linear = bool(rng.random() < 0.3)
        self.images, self.channels, self.height, self.width = (int(size) for size in rng.integers(1, (3, 4, 5, 5)))
        self.layers: list[dict[str, Any]] = [{"name": "flat", "type": "flatten"}] if self.is_linear else []
        self.fields = (int(rng.choice([1, 2])), int(rng.integers(1, 4)), int(rng.choice([1, 2, 32])))
        self.capacity = int(rng.choice(CAPACITIES))
        self.units: list[Unit] = []
        backward: list[list[Unit]] = []
        shape: tuple[int, ...] = (self.images, self.channels, self.height, self.width)
        shape = (self.images, int(np.prod(shape[1:]))) if self.is_linear else shape
        self.sizes = {"t0": int(np.prod(shape)) * 2}
        is_masked = False
        for place in range(1, int(rng.integers(3, 5))):
            pools = not self.is_linear and place > 1 and not is_masked and bool(rng.random() < 0.3)
            if pools:
                layer: Conv | Linear | None = None
                kernel = [int(rng.integers(1, size + 1)) for size in shape[2:]]
                form = {"name": f"l{place}", "type": "avg_pool", "kernel": kernel, "stride": kernel}
                following = (*shape[:2], shape[2] // kernel[0], shape[3] // kernel[1])
            elif self.is_linear:
                layer = Linear("layer", shape[0], shape[1], int(rng.integers(1, 5)))
                form = {"name": f"l{place}", "type": "linear", "out_features": layer.out_features}
                following = layer.tensor_shapes["output"]
            else:
                side = int(rng.choice([1, 3]))
                pad = side // 2
                layer = Conv("layer", *shape, int(rng.integers(1, 5)), side, side, 1, pad)
                form = {
                    "name": f"l{place}", "type": "conv2d", "out_channels": layer.out_channels, "kernel": side,
                    "padding": pad, "bias": False,
                }  # fmt: skip
                following = layer.tensor_shapes["output"]
            self.layers.append(form)
            backward.insert(0, self._add_units(place, layer, is_masked=is_masked))
            is_masked = layer is not None and bool(rng.random() < 0.4)
            if is_masked:
                self.layers.append({"name": f"r{place}", "type": "relu"})
            shape = following
            self.sizes[f"t{place}"] = int(np.prod(shape)) * 2
        self.units += [unit for units in backward for unit in units]
        sizes = list(self.sizes.items())
        self.sizes |= {f"{kind}{place[1:]}": size for kind in "gc" for place, size in sizes}

    def _add_units(self, place: int, layer: Conv | Linear | None, *, is_masked: bool) -> list[Unit]:
        before, behind, gradient = f"t{place - 1}", f"t{place}", f"g{place}"
        name = f"l{place}"
        if layer is None:
            self.units.append(Unit(f"{name} forward", {"input": before}, (behind,)))
            return [Unit(f"{name} backward", {"input": gradient}, (f"g{place - 1}",))]

        def lower(step: str) -> Any:
            return lambda kept, left: self._lower(layer, step, kept, left, is_masked=is_masked)

        self.units.append(Unit(f"{name} forward", {"input": before}, (behind,), lower=lower("forward")))
        gtw = Unit(f"{name} gtw", {"input": before, "grad_output": gradient}, (), lower=lower("gtw"))
        if place == 1:
            return [gtw]
        mask = frozenset([before] if is_masked else [])
        if not self.has_copies:
            return [gtw, Unit(f"{name} gta", {"grad_output": gradient}, (f"g{place - 1}",), mask, lower("gta"))]
        copy = f"c{place}"
        prunes = Unit(f"{name} backward", {"input": gradient}, (copy,))
        return [gtw, prunes, Unit(f"{name} gta", {"grad_output": copy}, (f"g{place - 1}",), mask, lower("gta"))]

    def _lower(self, layer: Conv | Linear, step: str, kept: frozenset[str], left: int, *, is_masked: bool) -> Work:
        groups, pes, least_tasks = self.fields
        machine = Machine(
            groups=groups, pes_per_group=pes, min_tasks_per_group=least_tasks, sparse_format="raw", pack_groups=True,
            capacity_bytes=left,
        )  # fmt: skip
        shapes = layer.tensor_shapes
        tensors = {name: np.ones(shapes[name]) for name in ("input", "weight")}
        mask = np.ones(shapes["input"]) if is_masked else None
        return make_work(layer, step, machine, **tensors, grad_output=np.ones(shapes["output"]), mask=mask, kept=kept)

    def describe_machine(self) -> Architecture:
        """Give the machine as the simulator takes it."""
        groups, pes, least_tasks = self.fields
        return load_architecture("sparsetrain", (
            "buffer.keep_on_chip=true", f"buffer.capacity_bytes={self.capacity}", f"array.groups={groups}",
            f"array.pes_per_group={pes}", f"array.min_tasks_per_group={least_tasks}", "ppu.fuse_passes=false",
        ))  # fmt: skip

    def find(self) -> dict[str, str]:
        """Say what stays by the simulator's decision."""
        network = build_network(
            "net", (self.images, self.channels, self.height, self.width), LAYERS.validate_python(self.layers)
        )
        machine = self.describe_machine()
        computed = [node.name for node in network.compute_nodes() if Step.GTA in network.list_steps(node.name)]
        copied = frozenset(computed if self.has_copies else ())
        words = find_residency(network, machine, list_machine_iteration(network, machine, copied=copied)).words
        return {f"{layer} {step}": told for (layer, _, step), told in words.items()}


def sort_words(words: dict[str, str]) -> dict[str, set[str]]:
    """Take words apart, whose order within a step does not count."""
    return {name: set(told.split("+")) for name, told in words.items()}


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_what_stays_is_what_the_plain_model_decides(index: int) -> None:
    chain = Chain(index)
    decision = Decision(chain.units, chain.sizes, chain.capacity)
    assert sort_words(chain.find()) == sort_words(decision.describe())


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_what_stays_of_gradients_and_their_copies_is_what_the_plain_model_decides(index: int) -> None:
    chain = Chain(index, has_copies=True)
    decision = Decision(chain.units, chain.sizes, chain.capacity)
    assert sort_words(chain.find()) == sort_words(decision.describe())


@exhaustive
def test_steps_and_passes_write_and_find_tensors_in_some_of_the_cases() -> None:
    found: dict[str, int] = {}
    for index in range(0, CASES, 2):
        chain = Chain(index)
        for name, told in chain.find().items():
            kind = "linear" if chain.is_linear else "conv"
            step = name.split()[1]
            for word in told.split("+"):
                found[f"{kind} {step} {word}"] = found.get(f"{kind} {step} {word}", 0) + 1
    assert min(found[f"{kind} {part}"] for kind in ("conv", "linear") for part in (
        "forward input", "forward (output)", "gta output", "gta (output)", "gtw grad_output",
    )) > 3  # fmt: skip
    assert found["conv backward input"] > 3
