"""The importers by name, those that ship and those of installed packages, and the one that knows a file."""

from __future__ import annotations

from pathlib import Path

from workloads.errors import InputError
from workloads.importers.importer import BEGINNING_BYTES, Importer
from workloads.plugins import ExtensionPoint
from workloads.user_file import FileForm, open_file

LIMIT_BYTES = 2**44
IMPORTERS = ExtensionPoint[Importer](
    "sparsetrain.importers",
    "importer",
    {
        "onnx": "workloads.importers.onnx_model.importer:OnnxImporter",
        "scalesim": "workloads.importers.scalesim:ScaleSimImporter",
        "timeloop": "workloads.importers.timeloop:TimeloopImporter",
    },
    Importer,
)


def find_importer(path: Path, label: str | None = None, wanted: str = "a YAML file") -> Importer | None:
    """Give the importer that recognises a file by its content; None where it is for none of them, as YAML is.

    Args:
        wanted: What messages say that the file should be.

    Raises:
        InputError: the file cannot be read, or an importer cannot be loaded.
    """
    name = label or str(path)
    with open_file(path, FileForm(wanted, LIMIT_BYTES), name) as file:
        try:
            beginning = file.read(BEGINNING_BYTES)
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
    importers = (IMPORTERS.make(one) for one in IMPORTERS.names())
    return next((importer for importer in importers if importer.recognises(path, beginning)), None)


def require_importer(path: Path, label: str | None = None) -> Importer:
    """Give the importer that recognises a file.

    Raises:
        InputError: none does; the message lists what can be imported.
    """
    importer = find_importer(path, label, "a file to import")
    if importer is None:
        known = ", ".join(IMPORTERS.make(name).words for name in IMPORTERS.names())
        raise InputError(f"{label or path}: is no file that can be imported; that is {known}")
    return importer
