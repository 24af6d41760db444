"""What a study of trainings found, in sentences for the terminal and the page."""

from __future__ import annotations

from statistics import median

from reports.quantities import write_energy
from reports.training_results import (
    DENSE,
    OWN_UNPRUNED,
    Estimate,
    TrainingResults,
    own_policy,
)
from reports.training_tables import write_rate
from workloads.pruners.table import NORMAL
from workloads.settings import GradientPruning

POINTS = 100
SHOWN_EPOCHS = 4
# What is written as 1.00 is no loss, as in the table.
LEAST_GAIN = 0.995
STOCHASTIC_MEANING = (
    "The rate of pruning is the share of a gradient's elements that is meant to lie below the threshold; rate 0 prunes "
    "nothing. Of the elements below, some become zero and the others the threshold itself, by chance, so that the "
    "mean of every element stays what it was; the sparsity that results is smaller than the rate."
)
GROUPS_MEANING = (
    "Of every so many neighbours in a row of a gradient, the largest magnitudes stay and the others become zero, which "
    "changes the mean of an element. The rate is the share of a whole group that does not stay; rate 0 prunes nothing."
)


def describe_rates(results: TrainingResults) -> str:
    """Say what a rate of pruning is, and what of the pruning is not as by default."""
    meaning = GROUPS_MEANING if results.has_sites and not results.has_thresholds else STOCHASTIC_MEANING
    model, feeds = (results.setting("workload", "pruning", name) for name in ("model", "for"))
    told = [meaning]
    if model not in (None, NORMAL):
        told.append(f"Thresholds are those of the model {model}.")
    if feeds == "gta":
        told.append("GTA alone reads pruned gradients; GTW reads them as they were.")
    return " ".join(told)


def describe_study(results: TrainingResults) -> list[str]:
    """Say what was found: accuracy and gain at each rate, costs of an iteration, and what is interpolated."""
    found = [describe_rate(results, rate) for rate in results.rates]
    return [*found, *describe_terms(results), *describe_iterations(results), *describe_interpolation(results)]


def describe_rate(results: TrainingResults, rate: float) -> str:
    """Say what accuracy a rate ends with, and what it buys."""
    told = (describe_accuracy(results, rate), describe_unpruned(results, rate), describe_gain(results, rate))
    return " ".join(filter(None, told))


def describe_accuracy(results: TrainingResults, rate: float) -> str:
    """Say what the test accuracy is, and how it differs from that without pruning."""
    start = f"At rate {write_rate(rate)}" if rate else "Without pruning (rate 0)"
    accuracy, seeds = results.mean(rate, "test_accuracy"), write_count(results.seeds(rate), "seed")
    if accuracy is None:
        return f"{start}, {describe_training_accuracy(results, rate)}."
    start += f", test accuracy is {write_share(accuracy, 2)}"
    gap = results.compare_accuracy(rate) if rate else None
    if gap is None:
        return f"{start} after {write_count(results.record['epochs'], 'epoch')}, the mean over {seeds}."
    change = f"{start}, {write_signed(POINTS * gap.mean)}"
    if gap.half_width is None:
        return f"{change} points beside training without pruning (one seed, so that there is no interval)."
    sure = "" if abs(gap.mean) > gap.half_width else ", which these seeds do not tell from no change"
    return f"{change} ± {POINTS * gap.half_width:.2f} points beside training without pruning{sure}."


def describe_unpruned(results: TrainingResults, rate: float) -> str:
    """Say that nothing was pruned, where a training ends before its FIFO is full; nothing elsewhere."""
    depth = find_fifo_depth(results)
    if not rate or not depth or results.iterations(rate) > depth:
        return ""
    return (
        f"Nothing was pruned: the FIFO of thresholds is full after {depth} iterations, and the training has "
        f"{results.iterations(rate):.0f}."
    )


def find_fifo_depth(results: TrainingResults) -> int:
    """Find how many iterations fill the FIFO of thresholds; 0 where none is filled, or the record does not tell."""
    pruning = results.setting("workload", "pruning")
    fields = pruning if isinstance(pruning, dict) else GradientPruning(rate=0.0).model_dump()
    depth = fields.get("fifo_depth") if fields.get("threshold") == "fifo" else 0
    return depth if isinstance(depth, int) else 0


def describe_training_accuracy(results: TrainingResults, rate: float) -> str:
    """Say how accurate the last epoch was on training images, where there are no others; of no accuracy the loss."""
    epochs = results.tables["epochs"]
    last = epochs[(epochs["rate"] == rate) & (epochs["epoch"] == results.record["epochs"])]
    for column, images in (("test_loss", "test"), ("loss", "training")):
        losses = last[column].dropna()
        if last["accuracy"].dropna().empty and len(losses):
            return f"the loss on the {images} images is {float(losses.mean()):.4g}; no accuracy is told"
    if last["accuracy"].dropna().empty:
        return "no accuracy is told"
    accuracy = write_share(float(last["accuracy"].mean()), 2)
    return f"accuracy on the training images is {accuracy}; there are no test images"


def describe_gain(results: TrainingResults, rate: float) -> str:
    """Say how much faster the machine is over the whole training, and with how much less energy."""
    parts: list[str] = []
    for scope in sorted(results.scopes, reverse=True):
        speed, energy = results.gain(rate, scope, "speedup"), results.gain(rate, scope, "energy_ratio")
        if speed is None:
            continue
        saving = "" if energy is None else f" with {write_saving(energy)}"
        verb = "" if parts else " run" if scope else " runs"
        beside = "" if parts else " than on the dense machine"
        name = "convolutions" if scope else "the whole network"
        parts.append(f"{name}{verb} {write_speed(speed)}{saving}{beside}")
    return f"Over the whole training, {'; '.join(parts)}." if parts else ""


def describe_terms(results: TrainingResults) -> list[str]:
    """Say what the sentences about rates mean."""
    terms = []
    gaps = [results.compare_accuracy(rate) for rate in results.pruned_rates]
    if any(gap is not None and gap.half_width is not None for gap in gaps):
        seeds = max(gap.seeds for gap in gaps if gap is not None)
        terms.append(
            f"± is the 95 % interval of the mean difference between trainings of the same seed ({seeds} seeds)"
        )
    if (dense := describe_dense(results)) is not None:
        terms.append(dense)
    sentence = "; ".join(terms)
    return [f"{sentence[0].upper()}{sentence[1:]}."] if terms else []


def describe_dense(results: TrainingResults) -> str | None:
    """Say which machine is the dense one; None where there is none."""
    first, own = results.rates[0], own_policy(results.rates[0])
    dense, mine = (results.machine_rows(first, policy) for policy in (DENSE, own))
    if dense.empty:
        return None
    name, own_name = (str(rows["machine"].iloc[0]) if len(rows) else "" for rows in (dense, mine))
    if own_name and name not in (own_name, f"{own_name}-dense"):
        return f"the dense machine is {name}, which skips nothing"
    return "the dense machine is the same one, skipping nothing"


def write_speed(ratio: float) -> str:
    """Say a speed-up, plainly where it is a loss."""
    return f"{ratio:.2f} times faster" if ratio >= LEAST_GAIN else f"{1 / ratio:.2f} times slower"


def write_saving(ratio: float) -> str:
    """Say an energy ratio, plainly where it is a loss."""
    return f"{ratio:.2f} times less energy" if ratio >= LEAST_GAIN else f"{1 / ratio:.2f} times more energy"


def describe_iterations(results: TrainingResults) -> list[str]:
    """Say what an iteration costs on average: on the dense machine, without pruning, and at each rate."""
    costs = []
    known = results.rates
    wanted = {(known[0], DENSE): "on the dense machine", (0.0, OWN_UNPRUNED): "skipping but not pruning"}
    if known[-1]:
        wanted[known[-1], own_policy(known[-1])] = f"at rate {write_rate(known[-1])}"
    for (rate, policy), words in wanted.items():
        cycles = results.total(rate, policy, "cycles")
        if cycles is None:
            continue
        energy, count = results.total(rate, policy, "energy"), results.iterations(rate)
        cost = f"{cycles.value / count:,.0f} cycles{write_time(results, cycles.value / count)}"
        costs.append(f"{words}: {cost}{'' if energy is None else f' and {write_energy(energy.value / count)}'}")
    if not costs:
        return []
    batch = results.setting("workload", "training", "batch")
    images = f" of {batch} images" if isinstance(batch, int) else ""
    return [f"On average, one training iteration{images} takes, {'; '.join(costs)}."]


def describe_update(results: TrainingResults) -> str:
    """Say what updating the weights takes, which is in no other figure; nothing where it was not counted."""
    rows = results.machine_rows(results.rates[-1], own_policy(results.rates[-1]))
    cycles, energy = (
        float(rows.groupby("seed")[name].sum().mean()) if name in rows and rows[name].notna().all() else 0.0
        for name in ("update_cycles", "update_energy_pj")
    )
    if not cycles:
        return ""
    spent = f"{cycles:,.0f} cycles{f' and {write_energy(energy)}' if energy else ''}"
    return f"The updates of the weights take {spent} more over a whole training; they are in no other figure."


def write_time(results: TrainingResults, cycles: float) -> str:
    """Write what time cycles take, in brackets; nothing where the clock is not known."""
    clock = results.setting("architecture", "clock_mhz")
    if not isinstance(clock, int | float):
        return ""
    return f" ({write_seconds(cycles / clock / 1e6)})"


def write_seconds(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= (2 if unit in ("h", "min") else 1) * size:
            return f"{seconds / size:,.3g} {unit}"
    return f"{seconds * 1e6:,.3g} us"


def describe_interpolation(results: TrainingResults) -> list[str]:
    """Say what the machine executed, what is interpolated between, and how wide the interval is."""
    if not results.has_machine:
        return ["No iteration was executed on a machine, so that nothing is said of cycles and energy."]
    rate = results.rates[-1]
    figures = "cycles" if results.total(rate, own_policy(rate), "energy") is None else "cycles and energy"
    sentence = (
        f"The machine executed {describe_executed(results)}, with the tensors of the training; {figures} of all other "
        "iterations are interpolated from the densities that the host counted"
    )
    found = results.total(rate, own_policy(rate), "cycles")
    if found is None or found.is_exact:
        return [f"{sentence}."]
    if found.low is None:
        return [f"{sentence}. How far off they may be is not told, as no two iterations can be compared."]
    return [
        f"{sentence}. The interval of the whole training's cycles at rate {write_rate(rate)}: {write_width(found)}."
    ]


def describe_executed(results: TrainingResults) -> str:
    """Say which iterations the machine executed."""
    at = results.setting("workload", "training", "simulate_at")
    step, epochs = (at.get("every_epochs") if isinstance(at, dict) else None), results.record["epochs"]
    if not isinstance(step, int):
        return "some iterations"
    which = "each epoch" if step == 1 else "epochs " + list_epochs(range(1, epochs + 1, step))
    if epochs <= step:
        which = "the first epoch" if epochs > 1 else "the epoch"
    depth = find_fifo_depth(results)
    starts = depth and any(results.iterations(rate) > depth for rate in results.pruned_rates)
    return f"the first iteration of {which}{', the first that is pruned,' if starts else ''} and the last of all"


def list_epochs(numbers: range) -> str:
    """List the numbers of epochs; of many the first ones."""
    if len(numbers) > SHOWN_EPOCHS:
        return f"{', '.join(map(str, numbers[: SHOWN_EPOCHS - 1]))} and so on"
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def write_width(found: Estimate) -> str:
    """Write how far the ends of an interval are from its value."""
    if found.is_exact:
        return "exact"
    if found.low is None or found.high is None:
        return "not known"
    low, high = found.low / found.value - 1, found.high / found.value - 1
    return f"{write_signed(POINTS * low, 1)} % to {write_signed(POINTS * high, 1)} %"


def describe_prediction(results: TrainingResults) -> str:
    """Say how far the FIFO's thresholds were from those of the batches, behind the first epoch."""
    sites = results.tables["sites"]
    rows = sites[(sites["own_threshold"] > 0) & (sites["epoch"] > 1)]
    if rows.empty:
        return ""
    ratios = (rows["threshold"] / rows["own_threshold"]).tolist()
    return (
        f"After the first epoch, the predicted threshold is {min(ratios):.2f} to {max(ratios):.2f} times the batch's "
        f"own, {median(ratios):.2f} times in the median (means of epochs, over all rates, seeds and gradients)."
    )


def write_share(share: float | None, digits: int = 1) -> str:
    """Write a share in percent; a dash for none."""
    return "-" if share is None else f"{POINTS * share:.{digits}f} %"


def write_count(count: int, noun: str) -> str:
    """Count things."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def write_signed(value: float, digits: int = 2) -> str:
    """Write a difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")
