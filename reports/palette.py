"""One colour for each step, component, state and tensor, on every page; all sets are safe for the colour-blind.

Sources: steps from Okabe and Ito, components from Paul Tol's `muted`, states from his `vibrant`; shades that vanish
on black or white are lightened or darkened a little.
"""

from __future__ import annotations

STEP_COLORS = {
    "forward": "#0072B2",
    "gta": "#E69F00",
    "gtw": "#CC79A7",
    "backward": "#56B4E9",
    "loss": "#999999",
    "recompute": "#004B7A",
    "accumulate": "#009E73",
    "update": "#8C6D31",
}
STEP_WORDS = {
    "forward": "Forward",
    "gta": "GTA (gradient to activations)",
    "gtw": "GTW (gradient to weights)",
    "backward": "Backward of passes",
    "loss": "Loss",
    "recompute": "Forward again",
    "accumulate": "Sums over microbatches",
    "update": "Weight update",
}
COMPONENT_COLORS = {
    "multiplier": "#4B3FA0",
    "accumulator": "#88CCEE",
    "operand_store": "#44AA99",
    "index_logic": "#117733",
    "sequencer": "#661100",
    "ppu": "#999933",
    "pruning": "#DDCC77",
    "buffer": "#CC6677",
    "noc": "#882255",
    "dram": "#AA4499",
    "leakage": "#BBBBBB",
}
COMPONENT_WORDS = {
    "multiplier": "multipliers",
    "accumulator": "accumulators",
    "operand_store": "operand stores",
    "index_logic": "index logic",
    "sequencer": "sequencers",
    "ppu": "PPUs",
    "pruning": "pruning",
    "buffer": "global buffer",
    "noc": "network on chip",
    "dram": "DRAM",
    "leakage": "leakage",
}
STATE_COLORS = {
    "busy_cycles": "#009988",
    "wait_operands_cycles": "#33BBEE",
    "wait_dram_cycles": "#CC3311",
    "wait_ppu_cycles": "#EE7733",
    "idle_cycles": "#BBBBBB",
}
STATE_WORDS = {
    "busy_cycles": "busy",
    "wait_operands_cycles": "waiting for operands (ports)",
    "wait_dram_cycles": "waiting for DRAM",
    "wait_ppu_cycles": "stalled by the PPU",
    "idle_cycles": "idle",
}
DENSITY_MARKS = {
    "input_density": ("input", "#0072B2", "circle-open", 14),
    "weight_density": ("weight", "#999999", "square", 9),
    "grad_output_density": ("gradient to output", "#D55E00", "diamond", 9),
    "mask_density": ("mask of the input", "#009E73", "x", 7),
}
# Of Okabe and Ito, as the steps; the first is that of a training without pruning.
UNPRUNED_COLOR = "#888888"
RATE_COLORS = ("#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#0072B2", "#8C6D31")
# The machines of a run are told apart by what fills their bars, so that colour keeps its one meaning.
MACHINE_PATTERNS = ("", "/", ".", "x", "-", "\\", "|", "+")
MACHINE_SYMBOLS = ("circle", "diamond-open", "square-open", "triangle-up-open", "cross-open", "star-open")


def pattern_of(number: int) -> str:
    """Give the fill of a run's machine by its place."""
    return MACHINE_PATTERNS[number % len(MACHINE_PATTERNS)]


def symbol_of(number: int) -> str:
    """Give the marker of a run's machine by its place."""
    return MACHINE_SYMBOLS[number % len(MACHINE_SYMBOLS)]
