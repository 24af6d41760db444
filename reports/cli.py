"""The command `sparsetrain`: only here is anything printed and the process ended."""

from __future__ import annotations

import inspect
import json
import signal
import textwrap
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from reports.capture_command import capture
from reports.chakra_command import export_chakra
from reports.completion import complete_overrides, complete_shown, complete_technologies, offer_completion
from reports.import_command import import_file
from reports.report_commands import compare, explain, report
from reports.scale_command import scale
from reports.signals import NOTHING_LEFT, SIGNALS, describe_stop, find_exit_code
from reports.simulate_command import simulate
from reports.standard_output import CLOSED, describe_failure, flush_output, require_output, silence_output
from reports.sweep_commands import LEFT_BEHIND, SWEEP_COMMANDS
from reports.train_command import train
from reports.validate_command import validate
from sim.version import MODEL_VERSION
from workloads.errors import InputError
from workloads.words import make_sentence

# The simulator takes seconds to import, so a command imports what it needs in its own body.
EXIT_BAD_INPUT = 2
USAGE_CHARACTERS = 300


class Command(click.Group):
    """A group of commands; what was given and cannot be used ends in one sentence and exit code 2."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run as the command of this process, which answers signals."""
        SIGNALS.install()
        try:
            return super().__call__(*args, **options)
        except SystemExit as ended:
            SIGNALS.leave(ended.code if isinstance(ended.code, int) else 1)
            raise

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the group's own options; bad usage of them, and help that cannot be printed, end as in `invoke`."""
        is_alone = not arguments[1]
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            # What click raises then is the help.
            if is_alone:
                raise
            sentence = " ".join(make_sentence(error.format_message(), USAGE_CHARACTERS).split())
            refuse(f"{sentence} (see 'sparsetrain --help')")
        except OSError as error:
            refuse(describe_failure(error))

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command; its first paragraph is what lists of commands say of it, uncut."""
        cmd.short_help = cmd.short_help or " ".join(inspect.cleandoc(cmd.help or "").partition("\n\n")[0].split())
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; print the one sentence of bad input, bad usage, or a file that cannot be read or written."""
        code = EXIT_BAD_INPUT
        try:
            with SIGNALS.working():
                require_output()
                try:
                    return super().invoke(ctx)
                finally:
                    flush_output()
        except InputError as error:
            sentence = str(error)
        except KeyboardInterrupt as error:
            number = getattr(error, "number", signal.SIGINT)
            sentence, code = describe_stop(number, ctx.meta.get(LEFT_BEHIND, NOTHING_LEFT)), find_exit_code(number)
        except click.UsageError as error:
            own = " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))
            path = own if error.ctx is None else error.ctx.command_path
            sentence = (
                f"{' '.join(make_sentence(error.format_message(), USAGE_CHARACTERS).split())} (see '{path} --help')"
            )
        except MemoryError as error:
            sentence = describe_shortage(error)
        except OSError as error:
            sentence = describe_failure(error)
        except SystemExit as error:
            # Rich ends the program where nobody reads its output any more.
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            sentence = CLOSED
        return refuse(sentence, code)


def refuse(sentence: str, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """Print why a command cannot do what was asked, and end it."""
    silence_output()
    # Where the terminal is gone, there is nobody to tell.
    with suppress(OSError) if code != EXIT_BAD_INPUT else nullcontext():
        click.echo(f"sparsetrain: {make_sentence(sentence)}", err=True)
    raise click.exceptions.Exit(code)


def describe_shortage(error: MemoryError) -> str:
    """Say what memory was asked for, as far as the error tells, and what there is."""
    from workloads.memory import available_bytes, describe_bytes

    asked = f": {str(error).splitlines()[0]}" if str(error) else ""
    return (
        f"the memory does not suffice{asked}; {describe_bytes(available_bytes())} are available; "
        "try a smaller --batch, --sample auto, --no-verify or --memory-limit"
    )


@click.group(
    "sparsetrain", cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(MODEL_VERSION, prog_name="sparsetrain")
def main() -> None:
    """Simulate CNN training on a sparse accelerator, cycle by cycle, and verify every value.

    \b
    A first result:     sparsetrain simulate lenet5
    What there is:      sparsetrain list
    A preset's YAML:    sparsetrain show lenet5
    Your own network:   sparsetrain show lenet5 > mine.yaml; sparsetrain simulate mine.yaml
    Another program's:  sparsetrain import net.onnx -o net.yaml; sparsetrain simulate net.yaml

    Bad input ends with one sentence and exit code 2, as does output that cannot be written; a value that is not the
    reference's with exit code 1.
    """  # noqa: D301


@main.command("list")
def list_everything() -> None:
    """List workloads, architectures, dataflows, DRAM, datasets, trained weights and profiles that can be named."""
    from dataflows.registry import list_dataflows
    from reports.fitted_tables import screen_width
    from sim.architecture import list_architectures
    from sim.dram_presets import list_drams, load_dram
    from sim.sweep.form import list_sweeps
    from sim.technology import list_technologies
    from workloads.datasets.address import SHIPPED
    from workloads.presets import list_presets
    from workloads.profile import profile_names
    from workloads.trained_record import trained_names

    sections: dict[str, dict[str, str]] = {
        "Workloads": list_presets(),
        "Architectures": {preset.name: preset.description for preset in list_architectures()},
        "Dataflows": dict.fromkeys(list_dataflows(), ""),
        "DRAM": {name: load_dram(name).description for name in list_drams()},
        "Technologies": dict.fromkeys(list_technologies(), ""),
        "Sweeps": list_sweeps(),
        "Datasets": dict.fromkeys(SHIPPED, ""),
        "Trained weights": dict.fromkeys(trained_names(), ""),
        "Profiles": dict.fromkeys(profile_names(), ""),
    }
    columns = screen_width()
    for title, entries in sections.items():
        click.echo(f"{title}:")
        width = max((len(name) for name in entries), default=0)
        for name, description in entries.items():
            first = f"  {name:<{width}}  "
            lines = textwrap.wrap(description, max(20, columns - len(first))) or [""]
            click.echo("\n".join([f"{first}{lines[0]}".rstrip(), *(" " * len(first) + line for line in lines[1:])]))


@main.command()
@click.argument("name", shell_complete=complete_shown)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_overrides,
              help="Override a field of an architecture.")  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(min=1), help="Images in the batch of an imported model that leaves it open."
)
def show(name: str, overrides: tuple[str, ...], batch: int | None) -> None:
    """Print the resolved YAML of a workload or an architecture, by preset or file NAME."""
    from workloads.yaml_file import dump_yaml

    click.echo(dump_yaml(resolve(name, overrides, batch)), nl=False)


def resolve(name: str, overrides: tuple[str, ...], batch: int | None = None) -> dict[str, Any]:
    """Load a workload or an architecture, whichever a name or file stands for, as plain data."""
    from sim.architecture import list_architectures, load_architecture
    from workloads.importers.reading import load_document
    from workloads.presets import list_presets
    from workloads.workload import load_workload

    architectures = [preset.name for preset in list_architectures()]
    is_architecture = name in architectures
    if not is_architecture and name not in list_presets():
        if not Path(name).exists() and Path(name).suffix not in (".yaml", ".yml"):
            known = ", ".join([*list_presets(), *architectures])
            raise InputError(f"'{name}' is neither a file nor a preset (the presets are {known})")
        is_architecture = "layers" not in load_document(name, batch=batch).data
    if is_architecture:
        return load_architecture(name, overrides).model_dump(mode="json")
    if overrides:
        raise InputError(f"--set changes architectures; '{name}' is a workload")
    return load_workload(name, open_batch=batch).resolved()


@main.command()
@click.argument("form", type=click.Choice(["workload", "architecture"]))
def schema(form: str) -> None:
    """Print the JSON schema of a YAML form, for editors."""
    from sim.architecture import Architecture
    from workloads.open_form import json_schema

    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    data = json_schema() if form == "workload" else {**draft, **Architecture.model_json_schema()}
    click.echo(json.dumps(data, indent=2))


@main.command()
def columns() -> None:
    """Print the columns of steps.csv and actions.csv with units and meanings, as Markdown."""
    from sim.results.rows import make_columns_tables

    click.echo(make_columns_tables())


@main.command()
@click.argument("name", shell_complete=complete_technologies)
@click.option("--wide", is_flag=True, help="Write a line for each figure, however narrow the terminal is.")
def technology(name: str, wide: bool) -> None:
    """Print a technology table, by preset or file NAME: every figure with unit, node, source and scaling."""
    from reports.fitted_tables import make_console, print_blocks, screen_width
    from reports.tables import make_technology_grid
    from sim.technology_listing import format_technology

    grid = make_technology_grid(format_technology(name, Path()))
    print_blocks(make_console(), grid, 1, screen_width(wide=wide))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL; for bash: eval "$(sparsetrain completion bash)"."""
    from click.shell_completion import get_completion_class

    make: Callable[..., Any] | None = get_completion_class(shell)
    assert make is not None
    click.echo(make(main, {}, "sparsetrain", "_SPARSETRAIN_COMPLETE").source())


for command in (
    simulate,
    validate,
    import_file,
    capture,
    report,
    compare,
    explain,
    scale,
    train,
    export_chakra,
    *SWEEP_COMMANDS,
):
    main.add_command(command)
offer_completion()
