"""Search a space with Optuna; what was found is in the store alone, and a search that is started again replays it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sim.sweep.design import Design, Point
from sim.sweep.form import Sampler, Search
from sim.sweep.metrics import is_maximized
from sim.sweep.runner import Runner
from sim.sweep.space import Space
from sim.sweep.store import Store
from sim.sweep.values import Parameter, Scale, Value
from workloads.extras import import_extra

if TYPE_CHECKING:
    import optuna

LEAST_POPULATION, LARGEST_POPULATION, TPE_BATCH = 8, 50, 8
ASKS_PER_TRIAL = 200
IDLE_ROUNDS = 50


@dataclass(frozen=True)
class Trial:
    """One proposal of the sampler: its number, and its designs, one for each workload; None where it is left out."""

    number: int
    settings: Mapping[str, Value]
    designs: tuple[Design, ...] | None


def import_optuna(label: str) -> ModuleType:
    """Import what proposes the points of a search.

    Args:
        label: The sweep's file.

    Raises:
        InputError: it is not installed.
    """
    return import_extra("optuna", "search", f"{label}: search")


def search_space(space: Space, store: Store, runner: Runner) -> None:
    """Ask the sampler for points, a population at a time, until so many distinct ones were evaluated.

    A round's points are told in the order in which they were asked for, so the search is the same however many
    processes work on it, and after an interruption: what is in the store is not evaluated again.
    """
    search = space.form.search
    assert search is not None
    study = make_study(search)
    seen: set[str] = set()
    asks = idle = 0
    while len(seen) < search.trials and asks < ASKS_PER_TRIAL * search.trials and idle < IDLE_ROUNDS:
        size = choose_population(search)
        trials = [ask_trial(study, space) for _ in range(size)]
        asks += size
        kept, fresh = limit_trials(trials, seen, search.trials - len(seen))
        idle = 0 if fresh else idle + 1
        runner.complete(design for trial in fresh for design in trial.designs or ())
        for trial in trials:
            tell_trial(study, store, runner, search, trial if trial in kept else None, trial.number)


def limit_trials(trials: list[Trial], seen: set[str], room: int) -> tuple[list[Trial], list[Trial]]:
    """Choose the trials that count: repeats of seen points, and fresh ones while there is room; note these as seen."""
    kept: list[Trial] = []
    fresh: list[Trial] = []
    for trial in trials:
        if trial.designs is None:
            continue
        name = repr(sorted(trial.settings.items()))
        if name not in seen:
            if len(fresh) == room:
                continue
            seen.add(name)
            fresh.append(trial)
        kept.append(trial)
    return kept, fresh


def choose_population(search: Search) -> int:
    """Choose how many points are asked for at a time."""
    if search.population is not None:
        return search.population
    if search.sampler is not Sampler.NSGA2:
        return TPE_BATCH
    return max(LEAST_POPULATION, min(LARGEST_POPULATION, search.trials // 4))


def make_study(search: Search) -> optuna.Study:
    """Make an Optuna study in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = search.seed % 2**32
    samplers: dict[Sampler, Any] = {
        Sampler.NSGA2: lambda: optuna.samplers.NSGAIISampler(population_size=choose_population(search), seed=seed),
        Sampler.TPE: lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=2 * TPE_BATCH),
        Sampler.RANDOM: lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    directions: list[Any] = ["maximize" if is_maximized(objective) else "minimize" for objective in search.objectives]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study: optuna.Study = optuna.create_study(directions=directions, sampler=samplers[search.sampler]())
    return study


def ask_trial(study: optuna.Study, space: Space) -> Trial:
    """Ask for one point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asked = study.ask()
        settings = {parameter.path: suggest(asked, parameter) for parameter in space.parameters}
    designs = tuple(make_designs(space, settings))
    is_whole = len(designs) == len(space.designer.workload_names)
    return Trial(asked.number, settings, designs if is_whole else None)


def suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    """Let the sampler choose a value; values in order are chosen by their place, so that near ones are near."""
    name = parameter.path
    if parameter.values is not None:
        numbers = [value for value in parameter.values if isinstance(value, int | float)]
        if len(numbers) < len(parameter.values):
            return parameter.values[trial.suggest_categorical(name, range(len(parameter.values)))]
        return sorted(numbers)[trial.suggest_int(name, 0, len(numbers) - 1)]
    whole = parameter.range
    assert whole is not None
    is_log = whole.scale is Scale.LOG
    if whole.is_whole:
        return trial.suggest_int(name, int(whole.low), int(whole.high), log=is_log)
    return trial.suggest_float(name, whole.low, whole.high, log=is_log)


def make_designs(space: Space, settings: Mapping[str, Value]) -> Iterator[Design]:
    """Make a design for each workload that constraints and budgets allow."""
    for workload in space.designer.workload_names:
        design = space.make_design(Point(workload, settings))
        if design is not None:
            yield design


def tell_trial(
    study: optuna.Study, store: Store, runner: Runner, search: Search, trial: Trial | None, number: int
) -> None:
    """Tell the sampler what became of a proposal; one that was left out, did not fit or failed has no values."""
    from optuna.trial import TrialState

    values = None if trial is None else find_values(store, runner, search, trial)
    if values is None:
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, values)


def find_values(store: Store, runner: Runner, search: Search, trial: Trial) -> list[float] | None:
    """Read a trial's objectives from the store: over several workloads their geometric means."""
    rows = [store.read_metrics(runner.key(design), search.objectives) for design in trial.designs or ()]
    if any(row is None or None in row for row in rows):
        return None
    columns = zip(*(row for row in rows if row is not None), strict=True)
    return [math.exp(math.fsum(math.log(max(value, 1e-300)) for value in column) / len(column)) for column in columns]
