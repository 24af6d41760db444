"""Kernels compiled before a test looks at what a command prints: the first run on a machine prints one line more."""

from __future__ import annotations

from sim.architecture import load_architecture
from sim.kernels import must_compile
from sim.machine.accelerator import Engine
from sim.run import simulate


def compile_kernels() -> None:
    """Run a small simulation where kernels have yet to be compiled."""
    if must_compile({load_architecture("sparsetrain").dataflow}, Engine.COMPILED):
        simulate("lenet5", batch=1, operands="synthetic")
