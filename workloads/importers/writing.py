"""Imported workloads written to files: YAML, and beside it the weights and what else the file held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.importers.importer import ImportedNetwork
from workloads.importers.reading import import_network, name_weights
from workloads.output_files import OutputSet, OutputTarget, check_output
from workloads.words import make_printable
from workloads.yaml_file import dump_yaml

MARK = "# Imported by sparsetrain from "
STATISTICS = ".statistics"


def write_import(
    path: Path,
    output: Path,
    check: Callable[[ImportedNetwork, str], object],
    *,
    batch: int | None = None,
    overwrites: bool = False,
) -> list[str]:
    """Import a network and write it; give sentences on what was written and what the file left open.

    All files are written or none. Those that an import wrote before are replaced; others only with `overwrites`.

    Args:
        check: Refuses a network, given with the file's label, that is no workload.

    Raises:
        InputError: the file cannot be imported, or one of those to write cannot or must not be written.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise InputError(f"--output {output}: must end in .yaml or .yml, so that it is read as a workload")
    target = check_output(output, "--output")
    was_imported = is_imported(target)
    refuse_replacing(target, overwrites=overwrites or was_imported)
    found = import_network(path, batch=batch)
    check(found, str(path))
    stores = {output.with_suffix(".npz"): found.weights, output.with_suffix(f"{STATISTICS}.npz"): found.arrays}
    with OutputSet() as outputs:
        written = [f"{output}: {describe(found)}"]
        for place, arrays in stores.items():
            if arrays:
                beside = check_output(place, "")
                refuse_replacing(beside, overwrites=overwrites or was_imported)
                outputs.write(beside, partial(save_arrays, arrays=arrays))
                written.append(f"{place}: {len(arrays)} arrays")
        text = f"{MARK}{make_printable(path.name)}.\n{dump_yaml(name_weights(found, output.with_suffix('.npz').name))}"
        outputs.write(target, lambda temporary: write_text(temporary, text))
        outputs.commit()
    return [*written, *(f"{note[:1].upper()}{note[1:]}." for note in found.notes)]


def refuse_replacing(target: OutputTarget, *, overwrites: bool) -> None:
    """Refuse to replace a file.

    Raises:
        InputError: there is one.
    """
    if target.mode is not None and not overwrites:
        raise InputError(f"{target.label}: is there already, and no import wrote it; --overwrite replaces it")


def is_imported(target: OutputTarget) -> bool:
    """Tell whether an import wrote what lies at a place."""
    if target.mode is None:
        return False
    try:
        with target.place.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def describe(found: ImportedNetwork) -> str:
    """Say how much a workload holds."""
    count = sum(array.size for array in found.weights.values())
    parameters = f", {count:,} parameters" if count else ""
    return f"{len(found.data['layers'])} layers{parameters}"


def save_arrays(path: Path, arrays: Mapping[str, Float32Array]) -> None:
    """Write an archive of arrays by name."""
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    path.write_text(text, encoding="utf-8")
