"""Malformed sweep files, each with the one sentence that it must be answered with."""

from __future__ import annotations

from dataclasses import dataclass

SWEEP = """\
name: small
workloads: [small.yaml]
architecture: sparsetrain
parameters:
  array.groups: [1, 2]
  dram.bytes_per_cycle: [8, 16]
"""
COUNT = "a whole number from 1 to 1048576"
FIELDS = (
    "(the fields are name, description, workloads, architecture, operands, baseline, steps, layers, sample, combine, "
    "parameters, points, samples, seed, constraints, budgets, search, limits)"
)
ARRAY_FIELDS = (
    "(the fields are groups, pes_per_group, multipliers_per_pe, accumulators, min_tasks_per_group, "
    "row_overhead_cycles, empty_issue_cycles, skip_zeros, skip_weights, pack_groups, "
    "skip_empty_rows)"
)
ALLOWED = (
    "allowed are names such as array.groups, numbers, quoted text, true, false, + - * / // % **, < <= > >= == !=, and, "
    "or, not, parentheses, min, max and abs"
)


@dataclass(frozen=True)
class MalformedSweep:
    """A sweep file that must be refused, and the sentence, which stands behind the file's name."""

    name: str
    text: str
    message: str


def from_edit(name: str, old: str, new: str, message: str) -> MalformedSweep:
    """Make a case from the sound sweep with one passage replaced."""
    assert SWEEP.count(old) == 1, old
    return MalformedSweep(name, SWEEP.replace(old, new), message)


def from_addition(name: str, addition: str, message: str) -> MalformedSweep:
    """Make a case from the sound sweep with something added, from line 7."""
    return MalformedSweep(name, SWEEP + addition, message)


GROUPS = "array.groups: [1, 2]"
MALFORMED_SWEEPS = (
    MalformedSweep("an empty file", "", ": is empty; a mapping of fields is expected"),
    from_edit("no name", "name: small\n", "", ", line 1: name is missing; it must be text of the form "
              r"[A-Za-z0-9_][A-Za-z0-9_.\-]* of at most 128 characters"),
    from_edit("a misspelt field", "parameters:", "paramters:",
              f", line 4: unknown field 'paramters'; did you mean 'parameters'? {FIELDS}"),
    from_edit("no workload", "[small.yaml]", "[]",
              ", line 2: workloads must be a list of at least 1 entry, each text of at least 1 character, got []"),
    from_edit("a workload that is not there", "[small.yaml]", "[other.yaml]",
              ", line 2: other.yaml: there is no such file"),
    from_edit("a workload twice", "[small.yaml]", "[small.yaml, small.yaml]", ", line 1: workloads names one twice"),
    from_edit("a path of nothing", "array.groups:", "arrays.groups:",
              ", line 5: the path 'arrays.groups' begins with no field of an architecture or a workload; did you mean "
              "'array'? {roots}"),
    from_edit("a misspelt path", "array.groups:", "array.group:",
              f", line 5: array: unknown field 'group'; did you mean 'groups'? {ARRAY_FIELDS}"),
    from_edit("a value that is not allowed", GROUPS, "array.groups: [1, 0]",
              f", line 5: array.groups must be {COUNT}, got 0"),
    from_edit("a value of another kind", GROUPS, "array.groups: [1, two]",
              f", line 5: array.groups must be {COUNT}, got 'two'"),
    from_edit("a value twice", GROUPS, "array.groups: [1, 1]", ", line 5: array.groups has the value 1 twice"),
    from_edit("no value", GROUPS, "array.groups: []",
              ", line 5: array.groups must be a list of at least 1 value or a range {from, to, steps, scale}, got []"),
    from_edit("a single value", GROUPS, "array.groups: 4",
              ", line 5: array.groups must be a list of at least 1 value or a range {from, to, steps, scale}, got 4"),
    from_edit("a list as value", GROUPS, "array.groups: [[1, 2]]",
              ", line 5: a value of array.groups must be a number, text, true, false or null, got [1, 2]"),
    from_edit("a range without end", GROUPS, "array.groups: {from: 1, steps: 2}",
              ", line 5: to is missing; it must be a whole number or a number"),
    from_edit("a range of one step", GROUPS, "array.groups: {from: 1, to: 4, steps: 1}",
              ", line 5: steps must be a whole number from 2 to 100000, got 1"),
    from_edit("an unknown scale", GROUPS, "array.groups: {from: 1, to: 4, steps: 2, scale: logg}",
              ", line 5: scale must be 'linear' or 'log', got 'logg'; did you mean 'log'?"),
    from_edit("a range backwards", GROUPS, "array.groups: {from: 4, to: 1, steps: 2}",
              ", line 5: array.groups: from must be below to, got from 4 to 1"),
    from_edit("a logarithm of zero", "dram.bytes_per_cycle: [8, 16]",
              "dram.latency_cycles: {from: 0, to: 8, steps: 2, scale: log}",
              ", line 6: dram.latency_cycles: a range of scale log must start above 0, got from 0"),
    from_edit("more steps than numbers", GROUPS, "array.groups: {from: 1, to: 3, steps: 9}",
              ", line 5: array.groups: 9 steps from 1 to 3 hold only 3 whole numbers"),
    from_edit("uneven steps", GROUPS, "array.groups: {from: 1, to: 10, steps: 3}",
              ", line 5: array.groups: 3 steps from 1 to 10 are not whole numbers apart; choose steps so that "
              "steps - 1 divides 9, or give a list"),
    from_edit("a grid of a whole range", GROUPS, "array.groups: {from: 1, to: 10}",
              ", line 5: array.groups: steps is missing; a range without steps suits combine: random or a search"),
    from_addition("a zip of unequal lengths", "  array.pes_per_group: [1, 2, 3]\ncombine: zip\n",
                  ", line 4: combine: zip needs as many values of each, but array.groups has 2, dram.bytes_per_cycle "
                  "has 2, array.pes_per_group has 3"),
    from_addition("random without samples", "combine: random\n",
                  ", line 1: combine: random and samples: samples is the number of points of combine: random, and of "
                  "no other"),
    from_addition("a list without points", "combine: list\n",
                  ", line 1: combine: list and points are needed together: points is the list of the points of "
                  "combine: list"),
    from_addition("a constraint that is code", "constraints: [\"__import__('os').system('ls')\"]\n",
                  ", line 7: \"__import__('os').system('ls')\" holds \"__import__('os').system('ls')\", which is not "
                  f"allowed; {ALLOWED}"),
    from_addition("half a constraint", "constraints: ['array.groups <']\n",
                  f", line 7: 'array.groups <' is not a condition; {ALLOWED}"),
    from_addition("a constraint on nothing", "constraints: [array.group <= 2]\n",
                  ", line 7: 'array.group <= 2' names 'array.group', which is unknown; did you mean 'array.groups'?"),
    from_addition("a constraint without an answer", "constraints: [array.groups * 2]\n",
                  ", line 7: 'array.groups * 2' gives 2; a condition must give true or false"),
    from_addition("a constraint that nothing meets", "constraints: [array.groups > 9]\n",
                  ": constraints and budgets leave none of 4 points"),
    from_addition("an unknown objective", "search: {sampler: nsga2, trials: 3, objectives: [cycle]}\n",
                  ", line 7: search: unknown objective 'cycle'; did you mean 'cycles'? {objectives}"),
    from_addition("an unknown sampler", "search: {sampler: nsga, trials: 3, objectives: [cycles]}\n",
                  ", line 7: search.sampler must be one of 'nsga2', 'tpe', 'random', got 'nsga'; did you mean "
                  "'nsga2'?"),
    from_addition("a search for a speed-up over nothing", "search: {sampler: tpe, trials: 3, objectives: [speedup]}\n",
                  ", line 7: 'speedup' needs a baseline, such as baseline: skipping-off"),
    from_addition("layers that are not there", "layers: deconv*\n",
                  ", line 7: no layer matches 'deconv*'; the layers are conv1, conv2, fc"),
    from_addition("a budget that is swept", "budgets: [{equal: multipliers, by: array.groups}]\n",
                  ", line 7: 'array.groups' is both swept and set by a budget"),
    from_addition("a budget without effect", "budgets: [{equal: multipliers, by: buffer.ports}]\n",
                  ", line 7: multipliers does not grow with 'buffer.ports'; name a size that it grows with"),
    from_addition("a limit of no time", "limits: {timeout_s: 0}\n",
                  ", line 7: limits.timeout_s must be a number above 0.0, got 0"),
    from_edit("a base that is not there", "architecture: sparsetrain", "architecture: sparsetrane",
              "unknown architecture 'sparsetrane'; did you mean 'sparsetrain'? {architectures}"),
    MalformedSweep("a machine without prices",
                   "name: small\nworkloads: [small.yaml]\narchitecture: ideal\nparameters: {array.groups: [1, 2]}\n"
                   "search: {sampler: tpe, trials: 3, objectives: [energy_pj]}\n",
                   ", line 5: 'energy_pj' is unknown for 'ideal', which names no technology"),
)  # fmt: skip
