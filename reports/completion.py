"""What the shell is offered: presets, policies, fields of a machine, layers of a network or of a run."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from workloads.errors import InputError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]
# What bash cuts words at, though it stands inside of an argument.
BASH_JOINTS = ("=", ":", "@")
DATASET_KINDS = ("cifar10:", "cifar100:", "idx:", "images:", "npz:")


def match(values: Iterable[str] | Mapping[str, str], incomplete: str) -> list[CompletionItem[str]]:
    """Offer what begins as it was typed; of a mapping with the words beside it."""
    helps = values if isinstance(values, Mapping) else dict.fromkeys(values)
    return [CompletionItem(value, help=words) for value, words in helps.items() if value.startswith(incomplete)]


def match_or_file(values: Iterable[str] | Mapping[str, str], incomplete: str) -> list[CompletionItem[str]]:
    """Offer names, or files where no name begins so."""
    return match(values, incomplete) or [CompletionItem(incomplete, type="file")]


def match_list(values: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    """Offer the next of several names that commas separate, each once."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [CompletionItem(before + comma + one) for one in values if one.startswith(last) and one not in taken]


def offer_names(list_names: Callable[[], Iterable[str] | Mapping[str, str]], *, or_file: bool = True) -> Complete:
    """Make a completion from a function that lists names."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return (match_or_file if or_file else match)(list_names(), incomplete)

    return complete


def offer_list(list_names: Callable[[], Iterable[str]]) -> Complete:
    """Make a completion of names that commas separate."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return match_list(list_names(), incomplete)

    return complete


def find_argument(ctx: click.Context, name: str) -> str | None:
    """Give an argument as it was typed; click leaves them together where the last option still lacks its value."""
    given: str | None = ctx.params.get(name)
    if given is not None:
        return given
    names = [param.name for param in ctx.command.params if isinstance(param, click.Argument)]
    place = names.index(name) if name in names else len(ctx.args)
    return ctx.args[place] if place < len(ctx.args) else None


def list_workloads() -> Mapping[str, str]:
    """List the workload presets with their descriptions."""
    from workloads.presets import list_presets

    return list_presets()


def list_machines() -> Mapping[str, str]:
    """List the architecture presets with their descriptions."""
    from sim.architecture import list_architectures

    return {preset.name: preset.description for preset in list_architectures()}


def list_shown() -> Mapping[str, str]:
    """List what `show` prints by name."""
    return {**list_workloads(), **list_machines()}


def list_technology_names() -> Iterable[str]:
    """List the technology tables."""
    from sim.technology import list_technologies

    return list_technologies()


def list_sweep_names() -> Mapping[str, str]:
    """List the sweep presets with their descriptions."""
    from sim.sweep.form import list_sweeps

    return list_sweeps()


def list_baselines() -> list[str]:
    """List policies, then architecture presets."""
    from sim.iteration.policies import MASK, NATURAL, NO_BASELINE, PRUNING, SKIPPING_OFF

    return [SKIPPING_OFF, NATURAL, MASK, f"{PRUNING}0.9", NO_BASELINE, *list_machines()]


def list_training_baselines() -> list[str]:
    """List those baselines that a training is compared with; it prunes at its own rates."""
    from sim.iteration.policies import PRUNING

    return [name for name in list_baselines() if not name.startswith(PRUNING)]


def list_training_hosts() -> list[str]:
    """List what may train."""
    from workloads.training.hosts.table import HOSTS

    return list(HOSTS)


def list_steps() -> list[str]:
    """List the steps of a layer."""
    from workloads.shapes import Step

    return [step.value for step in Step]


def list_engines() -> list[str]:
    """List the engines."""
    from sim.machine.accelerator import Engine

    return [engine.value for engine in Engine]


def list_updates() -> list[str]:
    """List the updates of parameters."""
    from workloads.updates import UpdateMethod

    return [method.value for method in UpdateMethod]


def list_operand_choices() -> Iterable[str]:
    """List the sources of operands that take no file."""
    from workloads.sources.table import list_choices

    return list_choices()


def list_weight_choices() -> Iterable[str]:
    """List the words for weights that are no file."""
    from workloads.initial_weights import WEIGHT_CHOICES

    return WEIGHT_CHOICES


def list_datasets() -> list[str]:
    """List the datasets of the package, and the kinds of others."""
    from workloads.datasets.address import SHIPPED

    return [*SHIPPED, *DATASET_KINDS]


def complete_layers(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer the layers of the workload that was named."""
    from workloads.workload import load_workload

    with suppress(InputError, OSError):
        nodes = load_workload(str(find_argument(ctx, "workload"))).network.compute_nodes()
        return match([node.name for node in nodes], incomplete)
    return []


def complete_overrides(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer the fields of the machine that was named, and the values of the field that was typed."""
    from sim.architecture import Architecture, load_architecture

    machine: Architecture | None = None
    with suppress(InputError, OSError):
        machine = load_architecture(str(ctx.params.get("arch") or find_argument(ctx, "name") or "sparsetrain"))
    fields = dict(list_fields(Architecture, machine))
    key, equals, _ = incomplete.partition("=")
    if not equals:
        return match({f"{path}=": words for path, (words, _) in fields.items()}, incomplete)
    words, values = fields.get(key, ("", []))
    return match({f"{key}={value}": words for value in values}, incomplete)


def list_fields(model: Any, values: Any, prefix: str = "") -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """List dotted paths of a machine's fields, each with words about it and the values to offer; the one it has first.

    Args:
        values: The machine, or None where it is not known.
    """
    for name, field in model.model_fields.items():
        section = next((kind for kind in (field.annotation, *get_args(field.annotation)) if is_section(kind)), None)
        value = getattr(values, name, None)
        if section is not None:
            yield from list_fields(section, section() if value is None else value, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "name":
            offered = [write_value(value), *list_values(f"{prefix}{name}", field.annotation)]
            yield f"{prefix}{name}", (f"{write_value(value)} now", list(dict.fromkeys(offered)))


def is_section(kind: Any) -> bool:
    """Tell whether a type is a section of a form."""
    return isinstance(kind, type) and hasattr(kind, "model_fields")


def list_values(path: str, kind: Any) -> list[str]:
    """List the values of a field that can be listed."""
    if path == "technology":
        return [*list_technology_names(), "null"]
    if path == "dataflow":
        from dataflows.registry import list_dataflows

        return list(list_dataflows())
    if path == "dram.timing":
        from sim.dram_presets import list_drams

        return list(list_drams())
    kinds = (kind, *get_args(kind))
    if bool in kinds:
        return ["true", "false"]
    choices = [one for one in kinds if isinstance(one, type) and issubclass(one, Enum)]
    return [str(member.value) for one in choices for member in one]


def write_value(value: Any) -> str:
    """Write a value as YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def complete_runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer run folders and stores below `out`, or whatever lies at the path that is typed."""
    found = [str(path.parent) for path in sorted(Path("out").glob("*/run.json"))]
    found += [str(path) for path in sorted(Path("out").glob("*.sqlite"))]
    return match_or_file(found, incomplete)


def read_run_cells(ctx: click.Context, column: str, **wanted: str | None) -> list[str]:
    """Read the different cells of a column of the named run's steps.csv, of the rows that are wanted."""
    path = Path(str(find_argument(ctx, "run"))) / "steps.csv"
    with suppress(OSError, UnicodeDecodeError, csv.Error), path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row.get(name) == value for name, value in wanted.items())]
        return [cell for cell in dict.fromkeys(row.get(column) for row in rows) if cell]
    return []


def complete_run_layers(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer the layers of the run that was named."""
    return match(read_run_cells(ctx, "layer"), incomplete)


def complete_run_steps(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer the steps of the layer that was named."""
    return match(read_run_cells(ctx, "step", layer=find_argument(ctx, "layer")), incomplete)


def complete_run_machines(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer the machines of the run that was named."""
    return match(read_run_cells(ctx, "machine"), incomplete)


complete_workloads = offer_names(list_workloads)
complete_architectures = offer_names(list_machines)
complete_shown = offer_names(list_shown)
complete_technologies = offer_names(list_technology_names)
complete_sweeps = offer_names(list_sweep_names)
complete_datasets = offer_names(list_datasets)
complete_weights = offer_names(list_weight_choices)
complete_files = offer_names(lambda: ())
complete_operands = offer_names(list_operand_choices, or_file=False)
complete_engines = offer_names(list_engines, or_file=False)
complete_samples = offer_names(lambda: ("auto", "0.05", "0.1"), or_file=False)
complete_updates = offer_names(list_updates, or_file=False)
complete_steps = offer_list(list_steps)
complete_baselines = offer_list(list_baselines)
complete_training_baselines = offer_list(list_training_baselines)
complete_training_hosts = offer_names(list_training_hosts, or_file=False)


class WholeWordBash(BashComplete):
    """Completion for bash, which hands over `array.groups=28` and `pruning@0.9` in three words each."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Join what bash cut."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        place = int(os.environ["COMP_CWORD"])
        given = [*words[1:place], words[place] if place < len(words) else ""]
        joined: list[str] = []
        for number, word in enumerate(given):
            is_tail = number and (word in BASH_JOINTS or (given[number - 1] in BASH_JOINTS))
            joined[-1:] = [joined[-1] + word] if is_tail and joined else [*joined[-1:], word]
        return joined[:-1], joined[-1] if joined else ""

    def complete(self) -> str:
        """Give of each completion what stands behind the last place at which bash cuts."""
        args, incomplete = self.get_completion_args()
        value = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
        cut = max(value.rfind(joint) for joint in BASH_JOINTS) + 1
        found = self.get_completions(args, incomplete)
        return "\n".join(self.format_completion(CompletionItem(one.value[cut:], one.type)) for one in found)


def offer_completion() -> None:
    """Register the completion for bash."""
    add_completion_class(WholeWordBash)
