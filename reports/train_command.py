"""The command that trains a workload on the host, prunes its gradients, and executes some iterations on the machine."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from reports.completion import (
    complete_architectures,
    complete_datasets,
    complete_files,
    complete_overrides,
    complete_samples,
    complete_training_baselines,
    complete_training_hosts,
    complete_workloads,
)
from reports.sweep_commands import LEFT_BEHIND
from reports.terminal import say
from workloads.errors import InputError

if TYPE_CHECKING:
    from sim.training.request import TrainOptions, TrainRequest
    from sim.training.study import TrainingStudy

EXIT_FAILED = 1
GIVEN_CHARACTERS = 40
PLACES = ("out", "jobs", "scheduler", "resume", "overwrite", "page", "wide")


@click.command()
@click.argument("workload", shell_complete=complete_workloads)
@click.option("--prune", metavar="RATE,RATE,...",
              help="Rates of gradient pruning, 0 for none, such as 0,0.7,0.9  [default: the workload's].")  # fmt: skip
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings at each rate.")
@click.option("--epochs", type=int, help="Instead of the workload's.")
@click.option("--batch", type=int, help="Images of an iteration, instead of the workload's.")
@click.option("--images", type=int, help="Only the first so many training images.")
@click.option("--test-images", type=int, help="Only the first so many test images; 0 evaluates none.")
@click.option("--data", metavar="KIND:PATH", shell_complete=complete_datasets,
              help="Other images; KIND is cifar10, cifar100, idx, images, npz, or left away.")  # fmt: skip
@click.option("--weights", metavar="FILE.npz", shell_complete=complete_files,
              help="Begin from these weights, not from drawn ones.")  # fmt: skip
@click.option("--host", default="numpy", show_default=True, metavar="numpy|torch[:DEVICE]",
              shell_complete=complete_training_hosts,
              help="What trains: the reference, or torch where it is installed.")  # fmt: skip
@click.option("--arch", default="sparsetrain", show_default=True, metavar="NAME|FILE",
              shell_complete=complete_architectures,
              help="The machine that executes some of the iterations.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_overrides,
              help="Override a field of the architecture; may be repeated.")  # fmt: skip
@click.option("--baseline", "baselines", multiple=True, metavar="NAME|POLICY",
              shell_complete=complete_training_baselines,
              help="Machines to compare with  [default: skipping-off].")  # fmt: skip
@click.option("--no-simulate", is_flag=True, help="Train only; execute nothing on a machine.")
@click.option("--simulate-every", type=int, metavar="EPOCHS", help="From one executed iteration to the next.")
@click.option("--simulate-images", type=int, metavar="N", help="Images of its batch that are executed.")
@click.option("--sample", metavar="FRACTION|auto", shell_complete=complete_samples,
              help="Execute only so many of each step's tiles, as simulate does.")  # fmt: skip
@click.option("--jobs", type=int, default=1, show_default=True, help="Trainings that run at a time, in processes.")
@click.option("--scheduler", metavar="ADDRESS", help="Train on this Dask cluster, whose workers see the same files.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of checkpoints and tables  [default: out/train-WORKLOAD].")  # fmt: skip
@click.option("--resume", is_flag=True, help="Insist that there is a training to go on with; it goes on anyway.")
@click.option("--overwrite", is_flag=True, help="Replace a training of other inputs in that folder.")
@click.option("--save-weights", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Write the trained weights of the first rate and seed, and their record beside them.")  # fmt: skip
@click.option("--weights-type", type=click.Choice(["float16", "float32"]), default="float32", show_default=True,
              help="Of the numbers in that file.")  # fmt: skip
@click.option("--save-profile", type=click.Path(path_type=Path), metavar="FILE.csv",
              help="Write the densities of all epochs at every rate as a profile for operands.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show every column of the table, however narrow the terminal is.")
@click.option("--page/--no-page", default=True, help="Write a page into the folder; by default it is.")
@click.pass_context
def train(ctx: click.Context, /, workload: str, prune: str | None, out: Path | None, save_weights: Path | None,
          weights_type: str, save_profile: Path | None, page: bool, wide: bool, no_simulate: bool,
          baselines: tuple[str, ...], **options: Any) -> None:  # fmt: skip
    """Train WORKLOAD, a preset or a file with a section training, with its gradients pruned.

    A checkpoint is written behind each epoch; interrupted or killed, the same command goes on. At the end stands a
    table of what pruning does to accuracy, cycles and energy over the whole training.
    """
    from reports.training_teller import TrainingTeller
    from sim.training.request import make_train_request
    from sim.training.study import run_training

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given["simulate"] = not no_simulate
    if prune is not None:
        given["prune"] = parse_rates(prune)
    if baselines:
        given["baseline"] = baselines
    folder = out or Path("out") / f"train-{Path(workload).stem}"
    check_options(ctx)
    ctx.meta[LEFT_BEHIND] = f"what was finished is in {folder}, and the same command goes on"
    request = make_train_request(workload, given.pop("arch"), cast("TrainOptions", given))
    if save_weights is not None:
        check_test_images(request, save_weights)
    names = {key: key.name if len(request.keys) > 1 else "" for key in request.keys}
    with TrainingTeller(len(request.keys)) as teller:
        study = run_training(
            request, folder, lambda progress: teller.update(progress.training, names[progress.key]),
            overwrites=given.get("overwrite", False), resumes=given.get("resume", False),
        )  # fmt: skip
    print_study(study, wide=wide)
    if save_weights is not None:
        write_weights(request, study, save_weights, tell_command(ctx), weights_type)
    if save_profile is not None:
        write_profile(study, save_profile, tell_command(ctx))
    if page:
        write_page(study, folder)
    say(f"Tables and checkpoints: {folder}")
    if study.failures:
        for name, sentence in study.failures.items():
            say(f"{name}: {sentence}", err=True)
        ctx.exit(EXIT_FAILED)


def check_options(ctx: click.Context) -> None:
    """Refuse files that cannot be written, and options that would change nothing.

    Raises:
        InputError: names the first.
    """
    from sim.training.request import UnusedOptionError
    from workloads.output_files import check_output

    targets: dict[str, Path] = {}
    for name, option in (("save_weights", "--save-weights"), ("save_profile", "--save-profile")):
        if ctx.params[name] is not None:
            target = check_output(ctx.params[name], option)
            targets |= {} if target.is_stream else {option: target.place}
    if len(set(targets.values())) < len(targets):
        raise InputError(f"{' and '.join(targets)} name the same file")
    if ctx.params["save_weights"] is None and is_given(ctx, "weights_type"):
        raise InputError("--weights-type is of the file that --save-weights names, and none is named")
    if ctx.params["resume"] and ctx.params["overwrite"]:
        raise InputError("--resume goes on with a training that is there, and --overwrite replaces it; leave one out")
    if ctx.params["no_simulate"] and is_given(ctx, "arch"):
        raise UnusedOptionError("--arch")


def check_test_images(request: TrainRequest, path: Path) -> None:
    """Refuse, before anything is trained, to write weights whose record would lack an accuracy.

    Raises:
        InputError: no test images are evaluated.
    """
    if request.form.test_images == 0:
        raise InputError(
            f"--save-weights {path}: the record of weights tells their accuracy on test images, and none are evaluated"
        )


def is_given(ctx: click.Context, name: str) -> bool:
    """Tell whether the command line gives an option."""
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def print_study(study: TrainingStudy, *, wide: bool) -> None:
    """Print what was found: a table, and sentences."""
    from reports.fitted_tables import make_console, print_words, screen_width
    from reports.training_results import read_results
    from reports.training_tables import print_training_table
    from reports.training_words import describe_study

    console, width = make_console(), screen_width(wide=wide)
    print_training_table(console, study.table, width)
    for words in describe_study(read_results(study)):
        print_words(console, words, width)


def write_weights(request: TrainRequest, study: TrainingStudy, path: Path, command: str, dtype: str) -> None:
    """Write the weights of the first training, and say where they lie."""
    from sim.training.weights import save_weights

    save_weights(request, study, path, command=command, dtype="float16" if dtype == "float16" else "float32")
    say(f"Weights: {path}")


def tell_command(ctx: click.Context) -> str:
    """Write the command without what only says where files lie, and how many processes there are; a shell reads it."""
    words = ["sparsetrain train"]
    for option in ctx.command.params:
        value = ctx.params.get(option.name or "")
        if isinstance(option, click.Argument):
            words.append(shlex.quote(Path(str(value)).name))
        elif is_given(ctx, option.name or "") and option.name not in PLACES:
            if value is True:
                words.append(option.opts[0])
            else:
                parts = value if isinstance(value, tuple) else (value,)
                words += [f"{option.opts[0]} {shlex.quote(write_value(option.name, part))}" for part in parts]
    return " ".join(words)


def write_value(option: str | None, value: Any) -> str:
    """Write an option's value; of a path its name alone."""
    if option in ("data", "weights"):
        kind, separator, path = str(value).rpartition(":")
        return f"{kind}{separator}{Path(path).name}"
    if option == "baselines":
        return ",".join(Path(part).name for part in value.split(","))
    return Path(value).name if option == "arch" or isinstance(value, Path) else str(value)


def write_profile(study: TrainingStudy, path: Path, command: str) -> None:
    """Write the densities of all rates, and say where they lie."""
    from sim.training.weights import save_profile

    save_profile(study.trainings, path, describe_profile(study, command))
    say(f"Profile: {path}")


def describe_profile(study: TrainingStudy, command: str) -> str:
    """Say on what densities were measured, how well the networks do, and what makes the table anew."""
    from sim.training.weights import choose_profiled
    from workloads.words import list_words

    record, form = study.record, study.record["inputs"]["workload"]["training"]
    chosen = choose_profiled(study.trainings)
    known = ((rate, run.accuracy) for rate, run in chosen.items())
    seeds = sorted({run.key.seed for run in chosen.values()})
    seeds_in_words = f"seed{'s' * (len(seeds) > 1)} {list_words(seeds)}"
    scores = ", ".join(f"{accuracy:.1%} at {rate:g}" for rate, accuracy in known if accuracy is not None)
    return "\n".join(
        [
            f"Densities measured in trainings of {record['name']}: {form['epochs']} epochs of "
            f"{form.get('images', 'all')} images, {seeds_in_words}, host {record['host']}, version "
            f"{record['version']}; means over each epoch.",
            f"Accuracy on {form.get('test_images', 'all')} test images by rate of pruning: {scores or 'not known'}.",
            f"Made by: {command}",
        ]
    )


def write_page(study: TrainingStudy, folder: Path) -> None:
    """Write the page into the folder."""
    from reports.report_commands import put_page
    from reports.training_page import build_training_page
    from sim.training.folder import PAGE

    put_page(folder / PAGE, build_training_page(study), lambda: None)


def parse_rates(words: str) -> tuple[float, ...]:
    """Read rates of pruning.

    Raises:
        InputError: they are no numbers with commas between them.
    """
    try:
        rates = tuple(float(part) for part in words.split(","))
    except ValueError:
        rates = (math.nan,)
    if not all(math.isfinite(rate) for rate in rates):
        shown = words if len(words) <= GIVEN_CHARACTERS else f"{words[:GIVEN_CHARACTERS]}..."
        raise InputError(f"--prune must be numbers from 0 to below 1 with commas between them, got '{shown}'")
    return rates
