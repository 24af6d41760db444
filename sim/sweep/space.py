"""The space of a sweep: its points, in an order in which neighbours share as much work as possible."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sim.iteration.policies import make_baseline
from sim.iteration.request import choose_layers
from sim.sweep.budget import measure_budget, require_budget_field, spend_budget
from sim.sweep.design import (
    Design,
    Designer,
    DesignValues,
    Point,
    Settings,
    find_area_mm2,
    is_workload_path,
    rank_path,
    require_root,
)
from sim.sweep.expression import Expression, parse_expression
from sim.sweep.form import Combination, SweepForm, read_sweep, validate_form
from sim.sweep.identity import describe_dataflow
from sim.sweep.values import Parameter, Value, count_values, read_parameter
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.validation import show_value

DRAWS_PER_SAMPLE, MOST_IN_VAIN = 1000, 20_000
# All points are made and checked before the first one runs: about 0.1 ms each, and 2 ms more for each budget.
POINT_LIMIT = 1_000_000
BUDGET_COST = 20
# Every value is also checked by itself.
VALUE_LIMIT = 100_000
COMPUTED_NAMES = ("multipliers", "area_mm2")


@dataclass(frozen=True, slots=True)
class SpaceSize:
    """How many points a space has, and how many combinations constraints and budgets leave out."""

    points: int
    left_out: int


@dataclass(frozen=True, eq=False)
class Space:
    """A validated sweep file; its points are made when they are asked for, so that their number costs no memory."""

    form: SweepForm
    document: YamlDocument
    designer: Designer
    parameters: tuple[Parameter, ...]
    constraints: tuple[Expression, ...]

    def __repr__(self) -> str:
        return f"<Space {self.form.name}: {', '.join(self.form.workloads)} over {', '.join(self.paths)}>"

    @property
    def paths(self) -> tuple[str, ...]:
        """Every dotted path that a point sets, as the file orders them, then what budgets set."""
        if self.form.points is not None:
            return tuple(dict.fromkeys(path for point in self.form.points for path in point))
        return (*(parameter.path for parameter in self.parameters), *(budget.by for budget in self.form.budgets))

    def designs(self) -> Iterator[Design]:
        """Make every design, those that constraints and budgets leave out excepted.

        Raises:
            InputError: a point makes no valid workload or machine; the message names the point.
        """
        if self.form.combine is Combination.RANDOM:
            yield from self._draw_designs()
            return
        for settings in self._combine():
            for workload in self.designer.workload_names:
                design = self.make_design(Point(workload, settings))
                if design is not None:
                    yield design

    def make_design(self, point: Point) -> Design | None:
        """Resolve a point and what its budgets set; None where a constraint or a budget leaves it out.

        Raises:
            InputError: the settings are not valid together; the message names the point.
        """
        label = f"{self.document.label}: point ({point.describe()})"
        design = self.designer.make(point, label)
        for index, budget in enumerate(self.form.budgets):
            place = self.document.origin(("budgets", index))
            base = self.designer.base_machine
            value = measure_budget(base, budget.equal, place) if budget.value is None else budget.value
            number = spend_budget(budget, design.machine, value, place)
            if number is None:
                return None
            point = Point(point.workload, {**point.settings, budget.by: number})
            design = self.designer.make(point, label)
        values = DesignValues(design)
        return design if all(constraint.holds(values) for constraint in self.constraints) else None

    def first_designs(self, combinations: int) -> Iterator[Design]:
        """Make the base design of each workload, then those of the first combinations, whatever leaves them out."""
        yield from probe_designs(self)
        for settings in itertools.islice(self._combine(), combinations):
            for workload in self.designer.workload_names:
                yield self.designer.make(Point(workload, settings), self.document.label)

    def measure(self) -> SpaceSize:
        """Make every design once, and count them.

        Raises:
            InputError: a point is not valid, or none is left.
        """
        points = 0
        for design in self.designs():
            points += 1
            require_runnable(design, f"{self.document.label}: point ({design.point.describe()})")
        offered = self.count_offered()
        if not points:
            raise InputError(f"{self.document.label}: constraints and budgets leave none of {offered:,} points")
        return SpaceSize(points, offered - points)

    def count_offered(self) -> int:
        """Count the points before constraints and budgets, over all workloads."""
        return count_offered(self.form, self.parameters)

    def _combine(self) -> Iterator[Settings]:
        if self.form.points is not None:
            yield from self.form.points
            return
        paths = [parameter.path for parameter in self.parameters]
        if self.form.combine is Combination.ZIP:
            for row in zip(*(parameter.values or () for parameter in self.parameters), strict=True):
                yield dict(zip(paths, row, strict=True))
            return
        slowest_first = sorted(self.parameters, key=lambda parameter: rank_path(parameter.path))
        for chosen in itertools.product(*(parameter.values or () for parameter in slowest_first)):
            found = {parameter.path: value for parameter, value in zip(slowest_first, chosen, strict=True)}
            yield {path: found[path] for path in paths}

    def _draw_designs(self) -> Iterator[Design]:
        samples, seed = self.form.samples or 0, self.form.seed or 0
        limit = min(DRAWS_PER_SAMPLE * samples, find_point_limit(self.form) // len(self.designer.workload_names))
        for workload in self.designer.workload_names:
            accepted = in_vain = 0
            for index in range(limit):
                design = self.make_design(Point(workload, draw_settings(self.parameters, seed, index)))
                in_vain = 0 if design is not None else in_vain + 1
                if design is not None:
                    yield design
                    accepted += 1
                if accepted == samples:
                    break
                if in_vain == MOST_IN_VAIN:
                    raise self._refuse_draws(index + 1, accepted)
            else:
                raise self._refuse_draws(limit, accepted)

    def _refuse_draws(self, draws: int, accepted: int) -> InputError:
        return InputError(
            f"{self.document.label}: {draws:,} random draws gave only {accepted} of {self.form.samples} points that "
            "constraints and budgets allow; loosen them or lower samples"
        )


def count_offered(form: SweepForm, parameters: tuple[Parameter, ...]) -> int:
    """Count the points before constraints and budgets, over all workloads, without making any."""
    if form.points is not None:
        return len(form.workloads) * len(form.points)
    if form.samples is not None:
        return len(form.workloads) * form.samples
    lengths = [len(parameter.values or ()) for parameter in parameters]
    return len(form.workloads) * (lengths[0] if form.combine is Combination.ZIP else math.prod(lengths))


def find_point_limit(form: SweepForm, limit: int = POINT_LIMIT) -> int:
    """Give the most points that are made for a sweep: fewer with budgets, each of which takes many trials a point."""
    return limit // (1 + BUDGET_COST * len(form.budgets))


def require_few_points(form: SweepForm, parameters: tuple[Parameter, ...], document: YamlDocument) -> None:
    """Refuse a sweep of more points, or a search of more trials, than can be made and checked.

    Raises:
        InputError: says how many there are, and how many there may be.
    """
    search, limit = form.search, find_point_limit(form)
    points = count_offered(form, parameters) if search is None else search.trials * len(form.workloads)
    if points > limit:
        words = "points" if search is None else "trials, over all workloads"
        budgets = " with so many budgets" if form.budgets else ""
        raise InputError(
            f"{document.label}: has {show_count(points)} {words}; a sweep{budgets} may have at most {limit:,}: take "
            "fewer values, or cut it into sweeps whose stores are merged"
        )


def show_count(number: int) -> str:
    """Write a count, as a power of ten where its digits fill a line."""
    return f"{number:,}" if number < 10**18 else f"about 10^{math.floor(math.log10(number))}"


def draw_settings(parameters: tuple[Parameter, ...], seed: int, index: int) -> dict[str, Value]:
    """Draw the settings of one point of a random sweep."""
    return {parameter.path: parameter.draw(seed, index) for parameter in parameters}


def require_runnable(design: Design, label: str) -> None:
    """Refuse a design whose dataflow is not registered or whose parts the technology table cannot price.

    Raises:
        InputError: the message begins with `label`.
    """
    try:
        baseline = None if design.baseline is None else make_baseline(design.baseline, design.machine).machine
        for machine in (design.machine, baseline):
            if machine is not None:
                describe_dataflow(machine.dataflow)
                find_area_mm2(machine)
    except InputError as error:
        raise InputError(f"{label}: {error}") from None


def load_space(name_or_path: str | Path) -> Space:
    """Read a sweep file or preset, and validate everything but the combinations of values.

    Raises:
        InputError: something in it cannot be used; the message names file and line.
    """
    document, folder = read_sweep(name_or_path)
    return make_space(document, folder)


def make_space(document: YamlDocument, folder: Path) -> Space:
    """Validate a sweep's document; paths in it are relative to `folder`; the rest as `load_space`."""
    form = validate_form(document)
    require_few_values(form, document)
    parameters = tuple(read_parameter(document, path) for path in form.parameters)
    for path in form.parameters:
        require_root(path, document.origin(("parameters", path)))
    for index, point in enumerate(form.points or ()):
        for path in point:
            require_root(path, document.origin(("points", index)))
    require_combinable(form, parameters, document)
    require_few_points(form, parameters, document)
    designer = Designer(form, document, folder)
    constraints = tuple(
        parse_expression(text, document.origin(("constraints", index))) for index, text in enumerate(form.constraints)
    )
    space = Space(form, document, designer, parameters, constraints)
    check_values(space)
    check_budgets(space)
    check_selection(space)
    return space


def require_few_values(form: SweepForm, document: YamlDocument) -> None:
    """Refuse more values of all parameters together than can be checked one by one, before any range is cut.

    Raises:
        InputError: says how many there are, and how many there may be.
    """
    values = sum(count_values(given) for given in form.parameters.values())
    if values > VALUE_LIMIT:
        raise InputError(
            f"{document.origin(('parameters',))}: the parameters have {show_count(values)} values together; "
            f"a sweep may have at most {VALUE_LIMIT:,}"
        )


def require_combinable(form: SweepForm, parameters: tuple[Parameter, ...], document: YamlDocument) -> None:
    """Refuse ranges without steps where points are counted off, and a zip of unequal lengths.

    Raises:
        InputError: names the parameter.
    """
    for parameter in parameters:
        if parameter.values is None and form.combine is not Combination.RANDOM and form.search is None:
            place = document.origin(("parameters", parameter.path))
            raise InputError(
                f"{place}: {parameter.path}: steps is missing; a range without steps suits combine: random or a search"
            )
    if form.combine is Combination.ZIP:
        lengths = {parameter.path: len(parameter.values or ()) for parameter in parameters}
        if len(set(lengths.values())) > 1:
            words = ", ".join(f"{path} has {length}" for path, length in lengths.items())
            raise InputError(
                f"{document.origin(('parameters',))}: combine: zip needs as many values of each, but {words}"
            )


def check_values(space: Space) -> None:
    """Try every value of every parameter by itself, so that an error names its line.

    Raises:
        InputError: a path or a value is not valid.
    """
    for parameter in space.parameters:
        place = space.document.origin(("parameters", parameter.path))
        values = parameter.values
        if values is None:
            assert parameter.range is not None
            values = (parameter.range.at(0), parameter.range.at(1))
        for value in values:
            try_value(space.designer, {parameter.path: value}, place)
    for budget in space.form.budgets:
        if budget.by in [parameter.path for parameter in space.parameters]:
            index = space.form.budgets.index(budget)
            raise InputError(
                f"{space.document.origin(('budgets', index))}: '{budget.by}' is both swept and set by a budget"
            )


def try_value(designer: Designer, settings: Mapping[str, Value], place: str) -> None:
    """Make a design of one value, for each workload where it is the workload's.

    Raises:
        InputError: the value is not allowed; a section that needs its others given is none of this check.
    """
    (path,) = settings
    workloads = designer.workload_names if is_workload_path(path) else designer.workload_names[:1]
    for workload in workloads:
        designer.make(Point(workload, settings), place)


def check_budgets(space: Space) -> None:
    """Refuse a budget whose field is not of the architecture, or does not change its quantity.

    Raises:
        InputError: names the budget's line.
    """
    for index, budget in enumerate(space.form.budgets):
        place = space.document.origin(("budgets", index))
        require_root(budget.by, place)
        if is_workload_path(budget.by):
            raise InputError(f"{place}: by must name a size of the architecture, got {show_value(budget.by)}")
        require_budget_field(budget, space.designer.base_machine, place)


def check_selection(space: Space) -> None:
    """Refuse names in constraints that stand for nothing, layers that no workload has, energy where there is none.

    Raises:
        InputError: names the field's line.
    """
    form, document = space.form, space.document
    first = next(iter(probe_designs(space)))
    known = [*DesignValues(first), *COMPUTED_NAMES]
    for constraint in space.constraints:
        constraint.require_names(dict.fromkeys([*known, *space.paths]))
    for design in probe_designs(space):
        try:
            choose_layers(design.workload, form.layers)
        except InputError as error:
            raise InputError(f"{document.origin(('layers',))}: {error}") from None
    if form.search is not None:
        require_energy(space, first)


def require_energy(space: Space, design: Design) -> None:
    """Refuse a search for energy, area or ratios that the machine or the sweep does not have.

    Raises:
        InputError: names the objective.
    """
    assert space.form.search is not None
    priced = design.machine.technology is not None or "technology" in space.paths
    for objective in space.form.search.objectives:
        place = space.document.origin(("search", "objectives"))
        is_priced = objective.endswith(("_pj", "_mm2", "_mw", "_pj_ms")) or objective == "energy_ratio"
        if is_priced and not priced:
            raise InputError(
                f"{place}: '{objective}' is unknown for '{design.machine.name}', which names no technology"
            )
        if objective in ("speedup", "convolution_speedup", "energy_ratio") and space.form.baseline == "none":
            raise InputError(f"{place}: '{objective}' needs a baseline, such as baseline: skipping-off")


def probe_designs(space: Space) -> Iterator[Design]:
    """Make the base design of each workload."""
    for workload in space.designer.workload_names:
        yield space.designer.make(Point(workload, {}), space.document.label)
