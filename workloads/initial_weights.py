"""The weights that an iteration of the host begins with: drawn, trained and shipped, or of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workloads.arrays import Float32Array
from workloads.datasets import Dataset
from workloads.datasets.families import are_kin
from workloads.errors import InputError
from workloads.host import initial_parameters
from workloads.network import Network
from workloads.settings import ImagePipeline
from workloads.trained_record import TrainedRecord, find_record, find_trained, read_record
from workloads.user_file import resolve_path
from workloads.weights import load_weights

RANDOM, TRAINED = "random", "trained"
WEIGHT_CHOICES = (RANDOM, TRAINED)


@dataclass(frozen=True)
class InitialWeights:
    """Where weights are from, and what a result says of them.

    Attributes:
        path: None where they are drawn.
        words: For the headline.
        facts: For the result's record.
    """

    path: Path | None
    words: str
    facts: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def load(self, network: Network, seed: int) -> dict[str, Float32Array]:
        """Give every parameter of the network.

        Raises:
            InputError: the file cannot be read, or does not fit the network.
        """
        return initial_parameters(network, seed) if self.path is None else load_weights(self.path, network)


def find_weights(choice: str, name: str, label: str, base_directory: Path) -> Path | None:
    """Return the file of weights; None where they are drawn.

    Args:
        choice: `random`, `trained` (those that ship for the workload of this name), or a file.
        label: The workload in messages.

    Raises:
        InputError: none ship for the workload.
    """
    if choice == RANDOM:
        return None
    return find_trained(name, label) if choice == TRAINED else base_directory / choice


def make_absolute_weights(choice: str, base_directory: Path) -> str:
    """Write a choice of weights so that it means the same from every folder; a word stays."""
    return choice if choice in WEIGHT_CHOICES else str(resolve_path(base_directory / choice))


def choose_weights(
    choice: str, network: Network, label: str, base_directory: Path, *, dataset: Dataset, pipeline: ImagePipeline
) -> InitialWeights:
    """Find weights, and compare what they were trained on with what the iteration gets.

    A record beside a file of the user's own is believed. Where it is of other images, the weights are called
    unrepresentative; those that `trained` stands for are refused.

    Args:
        label: The workload in messages.

    Raises:
        InputError: there are none, the record is damaged, or `trained` weights are of other images.
    """
    path = find_weights(choice, network.name, label, base_directory)
    if path is None:
        return InitialWeights(None, "random initial weights (unrepresentative of a trained network)")
    record = read_record(path)
    if record is None:
        if choice == TRAINED:
            raise InputError(f"{find_record(path)}: there is no such file; it says on what {path.name} was trained")
        return InitialWeights(path, f"weights of {path.name}")
    difference = find_difference(record, dataset, pipeline)
    facts = {"weights": record.facts()}
    if not difference:
        return InitialWeights(path, record.describe(), facts)
    if choice == TRAINED:
        raise InputError(
            f"{label}: the trained weights of '{network.name}' do not fit: {difference}; take weights: random, or "
            f"weights: {path}, which takes them all the same and calls them unrepresentative"
        )
    words = f"{record.describe()}, unrepresentative here: {difference}"
    return InitialWeights(path, words, facts, (f"the weights of {path.name} are unrepresentative here: {difference}",))


def find_difference(record: TrainedRecord, dataset: Dataset, pipeline: ImagePipeline) -> str:
    """Say in what an iteration's images are others than those of a training; empty where they are the same."""
    own = record.trained_on
    if not are_kin(own.fingerprint, dataset.fingerprint()):
        other = "other images of the same name" if dataset.name == own.name else dataset.name
        return f"they were trained on {own.name}, and the images are {other}"
    if pipeline.spelled_out() != record.images.spelled_out():
        return (
            f"they were trained on images prepared by {_describe(record.images)}, and these are prepared by "
            f"{_describe(pipeline)}"
        )
    return ""


def _describe(pipeline: ImagePipeline) -> str:
    fields = pipeline.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"
