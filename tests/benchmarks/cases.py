"""The fixed workloads of the benchmark, and the figures that each is to reach."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workloads.operand_choice import choose_operands
from workloads.presets import find_preset
from workloads.profile import find_profile
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import load_yaml

GIB = 2**30


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What a case is to stay below; None is no target."""

    verified_s: float | None = None
    unverified_s: float | None = None
    peak_bytes: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A preset, simulated with its dense baseline on the machine `sparsetrain`.

    pixels: height and width of its images, None for the preset's own. profile: the shipped profile whose densities its
    operands have, None for the host's operands. sample: what `simulate` is given, None for a full simulation.
    """

    name: str
    preset: str
    batch: int = 1
    pixels: int | None = None
    profile: str | None = None
    sample: str | None = None
    target: Target = Target()

    @property
    def is_verified(self) -> bool:
        """Whether the case is also run with values: a sampled run computes none."""
        return self.sample is None


CASES = (
    Case("AlexNet", "alexnet", target=Target(5, 3, 1.5 * GIB)),
    Case("ResNet-18", "resnet18", target=Target(8, 5, 1 * GIB)),
    Case("ResNet-50", "resnet50", target=Target(25, 15, 1.5 * GIB)),
    Case("VGG-16", "vgg16", target=Target(40, 15, 2 * GIB)),
    Case("ResNet-152", "resnet152", target=Target(70, 45, 2 * GIB)),
    Case("ResNet-18, batch 256, sampled", "resnet18", batch=256, profile="resnet34", sample="auto",
         target=Target(None, 60, 2 * GIB)),
)  # fmt: skip
QUICK_CASES = (Case("LeNet-5", "lenet5"), Case("AlexNet, CIFAR size", "alexnet_cifar"))
FIT_PIXELS = (32, 64, 128, 224)


def fit_case(pixels: int) -> Case:
    """Give VGG-16 at a size, for the fit of wall time over effectual MACs."""
    return Case(f"VGG-16, {pixels} px", "vgg16", pixels=pixels)


def read_case(data: dict[str, Any]) -> Case:
    """Give the case that `dataclasses.asdict` wrote."""
    return Case(**{**data, "target": Target(**data["target"])})


def load_case(case: Case, folder: Path) -> Workload:
    """Load the workload of a case, with random weights; a profile cut to its layers is written to the folder."""
    loaded = choose_operands(load_workload(case.preset, batch=case.batch), weights="random")
    if case.pixels is None and case.profile is None:
        return loaded
    path = find_preset(case.preset)
    document = load_yaml(path)
    # Figures of all versions are of the same weights, whatever the preset says.
    operands = {**document.data["operands"], "weights": "random"}
    data = {**document.data, "batch": case.batch, "operands": operands}
    if case.pixels is not None:
        data["input"] = {**data["input"], "height": case.pixels, "width": case.pixels}
        data["operands"] = {**operands, "images": {**operands["images"], "resize": case.pixels}}
    if case.profile is not None:
        names = [node.name for node in loaded.network.nodes]
        profile = folder / f"{case.profile}-{case.preset}.csv"
        profile.write_text(cut_profile(find_profile(case.profile).read_text(encoding="utf-8"), names), encoding="utf-8")
        data["operands"] = {"source": "profile", "path": str(profile), "column": "last", "seed": 1, "clustering": {}}
    return make_workload(dataclasses.replace(document, data=data), path.parent)


def cut_profile(text: str, layers: Sequence[str]) -> str:
    """Keep the rows of a profile whose layers a network has, so that it serves a shallower network of its family."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    reader = csv.DictReader(lines)
    cut = io.StringIO()
    writer = csv.DictWriter(cut, reader.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in reader if row["layer"] in layers)
    return cut.getvalue()
