"""The record beside trained weights: on what they were trained, how well they do, and how they are made again.

Beside ``NAME.npz`` lies ``NAME.trained.json``. Weights that ship with the package lie in ``workloads/trained``, by the
names of their presets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from workloads.datasets import Dataset
from workloads.errors import InputError
from workloads.layers import PositiveInt, StrictModel
from workloads.npz_file import write_npz
from workloads.output_files import OutputSet, check_output
from workloads.settings import Fraction, ImagePipeline, PlainText, WorkloadName
from workloads.suggestions import did_you_mean
from workloads.user_file import FileForm, read_file
from workloads.words import list_words
from workloads.yaml_file import load_yaml, validate_document

TRAINED_DIRECTORY = Path(__file__).parent / "trained"
RECORD_ENDING = ".trained.json"
WEIGHTS_FORM = FileForm("an .npz file of weights", limit_bytes=2**34)

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class DatasetRecord(StrictModel):
    """One split of a data set.

    Attributes:
        count: Its number of images.
        fingerprint: As `Dataset.fingerprint` gives it.
    """

    name: PlainText
    count: PositiveInt
    fingerprint: Digest


class TrainedRecord(StrictModel):
    """How weights came about.

    Attributes:
        trained_on: The training images.
        tested_on: The images that the accuracy is of.
        images: How images become the network's input.
        test_accuracy: Share of the test images that are classified right.
        command: What makes them anew.
        version: Of this package, when they were made.
        sha256: Of the weights' file.
    """

    workload: WorkloadName
    trained_on: DatasetRecord
    tested_on: DatasetRecord
    images: ImagePipeline = ImagePipeline()
    test_accuracy: Fraction
    epochs: Annotated[int, Field(ge=0)]
    command: PlainText
    date: Day
    version: PlainText
    sha256: Digest

    def describe(self) -> str:
        """Say on what the weights were trained, and to which accuracy."""
        return (
            f"weights trained on {self.trained_on.count} images of {self.trained_on.name} to a test accuracy of "
            f"{100 * self.test_accuracy:.1f} % ({self.tested_on.count} images)"
        )

    def facts(self) -> dict[str, Any]:
        """Give what a result says of them."""
        return self.model_dump(mode="json", exclude_none=True)


def describe_dataset(dataset: Dataset) -> DatasetRecord:
    """Note a split of a data set."""
    return DatasetRecord(name=dataset.name, count=len(dataset.labels), fingerprint=dataset.fingerprint())


def trained_names() -> tuple[str, ...]:
    """Return the presets that trained weights ship for, sorted."""
    return tuple(sorted(path.stem for path in TRAINED_DIRECTORY.glob("*.npz")))


def find_trained(name: str, label: str) -> Path:
    """Return the file of the weights that ship for a workload.

    Args:
        label: The workload in messages.

    Raises:
        InputError: there are none.
    """
    names = trained_names()
    if name in names:
        return TRAINED_DIRECTORY / f"{name}.npz"
    there = f"they are for {list_words(names)}" if names else "there are none for any"
    raise InputError(
        f"{label}: no trained weights ship for '{name}'{did_you_mean(name, names)} ({there}); operands take "
        "weights: random or weights: FILE.npz"
    )


def find_record(weights: Path) -> Path:
    """Return where the record of weights lies, whether it is there or not."""
    return weights.with_suffix(RECORD_ENDING)


def read_record(weights: Path) -> TrainedRecord | None:
    """Read the record beside weights; None where there is none.

    Raises:
        InputError: it is no such record, or one of other weights.
    """
    path = find_record(weights)
    if not path.exists():
        return None
    record = validate_document(load_yaml(path), TrainedRecord)
    found = sha256(read_file(weights, WEIGHTS_FORM)).hexdigest()
    if record.sha256 != found:
        raise InputError(
            f"{path}: is the record of other weights than {weights.name}, whose sha256 is {found[:12]}..., not "
            f"{record.sha256[:12]}...; remove it, or write both anew"
        )
    return record


def write_trained(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    *,
    dtype: Literal["float16", "float32"] = "float32",
    **record: Any,
) -> TrainedRecord:
    """Write weights and their record, both or neither; the same arrays give the same bytes.

    Args:
        arrays: Every parameter by its name, and of batch norm ``<layer>/mean`` and ``<layer>/variance``.
        record: The fields of `TrainedRecord`, but for ``sha256``.

    Raises:
        InputError: they cannot be written, or a number is not finite as it is stored.
    """
    with np.errstate(over="ignore"):
        stored = {name: array.astype(dtype) for name, array in arrays.items()}
    for name, array in stored.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: the array '{name}' holds numbers that {dtype} cannot; weights must be finite")
    content = BytesIO()
    write_npz(content, stored)
    made = TrainedRecord(**record, sha256=sha256(content.getvalue()).hexdigest())
    text = json.dumps(made.facts(), indent=2) + "\n"
    with OutputSet() as outputs:
        for place, held in ((path, content.getvalue()), (find_record(path), text.encode())):
            outputs.write(check_output(place, ""), partial(_write, content=held))
        outputs.commit()
    return made


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
