"""A workload: a network, and where its operands come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workloads.blocks import expand_blocks
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.form_network import build_declared, build_rewritten
from workloads.importers.reading import load_document
from workloads.kinds.table import KINDS
from workloads.masks.producer import MaskProducer
from workloads.network import INPUT, Network
from workloads.open_form import find_form
from workloads.presets import find_preset, preset_names
from workloads.recomputation import find_unmatched
from workloads.schema import WorkloadForm
from workloads.settings import GradientPruning
from workloads.sources.source import OperandSource
from workloads.training.form import TrainingForm
from workloads.updates import UpdateMethod, parse_update
from workloads.words import list_words
from workloads.yaml_file import validate_document

BATCH_LIMIT = 2**24
SEED_LIMIT = 2**63 - 1
# A name with such an ending is a file's, whether it is there or not.
FILE_ENDINGS = (".yaml", ".yml", ".onnx", ".csv")


@dataclass(frozen=True)
class Workload:
    """A validated workload.

    Attributes:
        form: The fields of its YAML file, overrides applied.
        base_directory: What paths in the file are relative to.
        document: The file as it was read, for places in error messages and for its text.
    """

    form: WorkloadForm
    network: Network
    base_directory: Path
    document: YamlDocument

    def __repr__(self) -> str:
        source = "no operands" if self.form.operands is None else f"operands of source {self.form.operands.source}"
        layers = len(self.network.compute_nodes())
        return f"<Workload {self.name}: {layers} layers to accelerate, batch {self.form.batch}, {source}>"

    @property
    def name(self) -> str:
        """The workload's name."""
        return self.form.name

    @property
    def label(self) -> str:
        """The file or the preset, as error messages name it."""
        return self.document.label

    @property
    def source_text(self) -> str:
        """The YAML text as it was read; empty where the workload is not from a file."""
        return self.document.text

    def operand_source(self) -> OperandSource:
        """Return where the operands come from.

        Raises:
            InputError: the file does not say.
        """
        if self.form.operands is None:
            raise InputError(
                f"{self.label}: no operands are given; add one of operands: {{source: recorded, path: FILE.npz}}, "
                "{source: synthetic, seed: 1} or {source: host, dataset: fashion_mnist, seed: 1}"
            )
        return self.form.operands

    def with_update(self, update: str | UpdateMethod) -> Workload:
        """Give the workload with another update of its parameters, or with none.

        Raises:
            InputError: there is no such update.
        """
        method = parse_update(update)
        chosen = None if method is UpdateMethod.NONE else method
        return replace(self, form=self.form.model_copy(update={"update": chosen}))

    def with_changes(self, *, batch: int | None = None, seed: int | None = None) -> Workload:
        """Give the workload with another batch or seed of its operands; what is None stays.

        Raises:
            InputError: the batch or the seed does not fit.
        """
        form = _override(self.form, self.document, batch, seed)
        if form.batch == self.form.batch:
            return replace(self, form=form)
        return replace(self, form=form, network=_build(form, self.document))

    def with_training(self, form: TrainingForm) -> Workload:
        """Give the workload with another section of training."""
        return replace(self, form=self.form.model_copy(update={"training": form}))

    def resolved(self) -> dict[str, Any]:
        """Return the workload as plain data with every default filled in; as YAML it loads as an equal workload.

        Paths of operands, datasets, weights, masks and profiles become absolute, as the data may be written elsewhere.
        """
        data = self.form.model_dump(mode="json", exclude_none=True, exclude={"blocks"})
        declared = build_declared(self.form) if self.form.rewrites else self.network
        for layer in data["layers"]:
            node = declared.node(layer["name"])
            if node.layer.input is None and not node.layer.traits.is_source:
                layer["inputs"] = list(node.inputs)
        if self.form.operands is not None:
            source = self.form.operands.with_absolute_paths(self.base_directory)
            data["operands"] = source.model_dump(mode="json", exclude_none=True)
        masks = self.mask_producer()
        if masks is not None:
            data["sparsify"] = masks.model_dump(mode="json", exclude_none=True)
        return data

    def mask_producer(self) -> MaskProducer | None:
        """Give what masks the weights, its paths absolute; None where nothing does."""
        masks = self.form.sparsify
        return None if masks is None else masks.with_absolute_paths(self.base_directory)


def load_workload(
    name_or_path: str | Path, *, batch: int | None = None, seed: int | None = None, open_batch: int | None = None
) -> Workload:
    """Load a workload from a file or from the preset of this name; `batch` and `seed` override the file's.

    The file is YAML, or of any form that an importer knows.

    Args:
        open_batch: The batch of a file that leaves it open.

    Raises:
        InputError: there is no such file or preset, its content is not a workload, or an override does not fit.
    """
    path = _find(name_or_path)
    return make_workload(
        load_document(path, batch=open_batch if batch is None else batch), path.parent, batch=batch, seed=seed
    )


def make_workload(
    document: YamlDocument, base_directory: Path, *, batch: int | None = None, seed: int | None = None
) -> Workload:
    """Validate a document, which need not be from a file, as a workload; the rest as `load_workload`.

    The workload's document is the given one with the uses of its blocks expanded to layers.
    """
    document = expand_blocks(document)
    form = _state_pruning(validate_document(document, find_form(document.data)), document)
    form = _override(form, document, batch, seed)
    network = _build(form, document)
    _check_purpose(form, network, document)
    return Workload(form, network, base_directory, document)


def _build(form: WorkloadForm, document: YamlDocument) -> Network:
    return build_rewritten(form, document.label, lambda index: document.place(("layers", index)))


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name not in preset_names():
        is_path = isinstance(name_or_path, Path) or path.suffix in FILE_ENDINGS or path.name != name
        return path if is_path or path.is_file() else find_preset(name)
    return find_preset(name)


def _override(form: WorkloadForm, document: YamlDocument, batch: int | None, seed: int | None) -> WorkloadForm:
    if batch is not None:
        if not 1 <= batch <= BATCH_LIMIT:
            raise InputError(f"batch must be a whole number from 1 to {BATCH_LIMIT}, got {batch}")
        form = form.model_copy(update={"batch": batch})
    if seed is not None:
        if not 0 <= seed <= SEED_LIMIT:
            raise InputError(f"seed must be a whole number from 0 to {SEED_LIMIT}, got {seed}")
        source = None if form.operands is None else form.operands.with_seed(seed)
        if source is None:
            have = form.operands.source if form.operands else "not given"
            raise InputError(
                f"{document.label}: the seed {seed} cannot be used: the operands are {have}, without a seed"
            )
        form = form.model_copy(update={"operands": source})
    if form.accumulate is not None and form.batch % form.accumulate:
        raise InputError(
            f"{document.place(('accumulate',))}: a batch of {form.batch} is not cut into {form.accumulate} equal "
            "microbatches; accumulate must divide batch"
        )
    return form


def _state_pruning(form: WorkloadForm, document: YamlDocument) -> WorkloadForm:
    """Give the form the pruning that its operands state, so that there is one place that says how much is pruned."""
    rate = None if form.operands is None else form.operands.stated_rate
    if rate is None:
        return form
    if form.pruning is None:
        # What was measured needs no warm-up.
        pruning = GradientPruning(rate=rate, threshold="own_batch") if rate else None
        return form.model_copy(update={"pruning": pruning})
    if form.pruning.rate != rate:
        raise InputError(
            f"{document.place(('operands', 'rate'))}: must be pruning.rate, {form.pruning.rate:g}, got {rate:g}; "
            "leave one of them out"
        )
    return form


def _check_purpose(form: WorkloadForm, network: Network, document: YamlDocument) -> None:
    if not network.compute_nodes():
        computed = list_words((kind for kind, made in KINDS.items() if made.traits.is_computed), limit=200)
        raise InputError(
            f"{document.place(('layers',))}: no layer that is computed in steps ({computed}), so there is nothing to "
            "accelerate"
        )
    if form.input is not None and any(layer.input is not None for layer in form.layers) and not reads_images(network):
        raise InputError(
            f"{document.place(('input',))}: no layer reads it, since each that reads no other has an input of its own; "
            "leave it out"
        )
    if (unmatched := find_unmatched(network, form.recompute_patterns)) is not None:
        raise InputError(
            f"{document.place(('recompute',))}: no layer matches '{unmatched}'; the layers are "
            f"{list_words(node.name for node in network.nodes)}"
        )
    source = form.operands
    if source is not None and source.runs_iteration and any(layer.input is not None for layer in form.layers):
        raise InputError(
            f"{document.place(('operands',))}: source {source.source} trains the network, and layers with inputs of "
            "their own are none; use source synthetic, recorded or profile"
        )
    if source is not None and source.runs_iteration and not network.loss_nodes():
        raise InputError(
            f"{document.place(('operands',))}: source {source.source} trains the network, which needs a loss; "
            f"add a softmax_cross_entropy layer after '{network.nodes[-1].name}'"
        )
    if source is not None and source.runs_iteration and not reads_images(network):
        raise InputError(
            f"{document.place(('operands',))}: source {source.source} trains on images, and no layer reads the "
            "network's input"
        )


def reads_images(network: Network) -> bool:
    """Tell whether a layer reads the network's input for more than its batch."""
    return any(not reader.layer.traits.is_source for reader in network.consumers(INPUT))
