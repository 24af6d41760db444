"""Tables of a study of trainings that never took place: every number follows from a formula, none was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sim.training.request import RunKey
from sim.training.study import TrainingStudy
from sim.training.tables import RunRecord, make_tables
from workloads.training.evaluation import Score
from workloads.training.record import EpochRecord, SiteRecord, TensorRecord

EVIL = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'> %{x} ${version}"
EPOCH_ITERATIONS = 47
WIDTH = 0.02


@dataclass(frozen=True)
class MadeUp:
    """What is made up.

    Attributes:
        simulates: Whether a machine has figures.
        tests: Whether there are test images.
        has_thresholds: Whether these prune, and no groups of neighbours.
    """

    rates: Sequence[float] = (0.0, 0.7, 0.8, 0.9, 0.99)
    seeds: Sequence[int] = (1, 2, 3)
    epochs: int = 15
    layers: Sequence[str] = ("conv1", "conv2", "fc1", "fc2", "fc3")
    name: str = "made up"
    simulates: bool = True
    tests: bool = True
    has_thresholds: bool = True

    def runs(self) -> list[RunRecord]:
        """Make every training."""
        return [self.run(RunKey(rate, seed)) for rate in self.rates for seed in self.seeds]

    def run(self, key: RunKey) -> RunRecord:
        """Make a training."""
        records = tuple(self.epoch(key, epoch) for epoch in range(1, self.epochs + 1))
        machines = tuple(row for record in records for row in self.machine_rows(key, record)) if self.simulates else ()
        return RunRecord(key, records, machines)

    def epoch(self, key: RunKey, epoch: int) -> EpochRecord:
        """Make an epoch: scores that settle, gradients that thin out."""
        settled = 1 - math.exp(-epoch / 3)
        shake = 0.004 * math.sin(7 * key.seed + 3 * epoch + 40 * key.rate)
        accuracy = 0.1 + (0.78 - 0.05 * key.rate**8) * settled + shake
        sites = tuple(self.site(key, epoch, place) for place in range(len(self.layers) - 1)) if key.rate else ()
        return EpochRecord(
            epoch=epoch,
            iterations=epoch * EPOCH_ITERATIONS,
            learning_rate=0.05,
            loss=2.3 * (1 - settled) + 0.3 + shake,
            accuracy=accuracy + 0.02 * settled,
            test=Score(1000, 2.3 * (1 - settled) + 0.35 - shake, accuracy) if self.tests else None,
            tensors=tuple(
                TensorRecord(layer, tensor, self.density(key, epoch, place, tensor))
                for place, layer in enumerate(self.layers)
                for tensor in ("input", "weight", "grad_output")
            ),
            sites=sites,
        )

    def density(self, key: RunKey, epoch: int, place: int, tensor: str) -> float:
        """Make a density; the first input is an image's, and the last gradient is that of the loss."""
        if tensor == "weight":
            return 1.0
        if tensor == "input":
            return 0.9 if place == 0 else 0.3 + 0.4 / (place + epoch / 5)
        if place == len(self.layers) - 1:
            return 1.0
        return (0.5 - 0.2 * epoch / self.epochs) * (1 - 0.7 * key.rate) * (1 - 0.5 * place / len(self.layers))

    def site(self, key: RunKey, epoch: int, place: int) -> SiteRecord:
        """Make a gradient's outcome: thresholds that fall, and a prediction that lags behind them."""
        own = self.has_thresholds * 1e-3 * (place + 1) * key.rate * math.exp(-epoch / 8)
        before = self.density(RunKey(0.0, key.seed), epoch, place, "grad_output")
        after = self.density(key, epoch, place, "grad_output")
        return SiteRecord(
            node=f"relu{place + 1}",
            writer=self.layers[place + 1],
            place="behind_mask",
            threshold=own * (0.9 if epoch == 1 else 1.03 + 0.02 * math.sin(epoch + key.seed)),
            own_threshold=own,
            sigma=own / 1.64,
            density_before=before,
            density_after=after,
            pruned=before - after,
            snapped=self.has_thresholds * 0.6 * after,
            aimed_density=0.9 * after,
        )

    def machine_rows(self, key: RunKey, record: EpochRecord) -> list[dict[str, Any]]:
        """Make what each policy takes in an epoch; the dense machine's figures need no interpolation."""
        density = record.gradient_density or 1.0
        shares = {"dense": 1.0, "natural": 0.8, "mask": 0.72, "pruned": 0.3 + 0.8 * density}
        rows = []
        for policy in ("dense", "natural", "mask", *(["pruned"] if key.rate else [])):
            name = "sparsetrain-dense" if policy == "dense" else "sparsetrain"
            row: dict[str, Any] = {"epoch": record.epoch, "policy": policy, "machine": name}
            width = 0.0 if policy == "dense" else WIDTH
            for scope, slack in (("conv_", 0.0), ("", 0.4)):
                share = (shares[policy] + slack) / (1 + slack)
                for figure, whole in (("cycles", 2.5e6), ("energy", 4.0e7)):
                    value = whole * (1 + slack) * EPOCH_ITERATIONS * (share if figure == "cycles" else math.sqrt(share))
                    row[f"{scope}{figure}{'_pj' if figure == 'energy' else ''}"] = value
                    row[f"{scope}{figure}_low"], row[f"{scope}{figure}_high"] = value * (1 - width), value * (1 + width)
            row |= {"update_cycles": 1000 * EPOCH_ITERATIONS, "update_energy_pj": 2e5 * EPOCH_ITERATIONS}
            rows.append(row)
        return rows

    def record(self) -> dict[str, Any]:
        """Make the record of the study."""
        at = {"every_epochs": 5, "images": 16} if self.simulates else None
        target = make_tables(self.runs())["runs"]["target_accuracy"].iloc[0]
        return {
            "kind": "training",
            "schema": 1,
            "name": self.name,
            "version": "0",
            "status": "done",
            "rates": list(self.rates),
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "host": "numpy",
            "target_accuracy": None if pd.isna(target) else float(target),
            "notices": ["these numbers are made up"],
            "failures": {},
            "inputs": {
                "workload": {
                    "name": self.name,
                    "training": {"epochs": self.epochs, "batch": 64, "simulate_at": at},
                    "operands": {"source": "host", "data": "made_up"},
                },
                "architecture": {"name": "sparsetrain", "clock_mhz": 800} if self.simulates else None,
            },
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Make the tables of the study."""
        return make_tables(self.runs())

    def study(self) -> TrainingStudy:
        """Make the study."""
        return TrainingStudy(None, self.record(), self.tables())

    def write(self, folder: Path) -> Path:
        """Write the study as a folder holds it."""
        folder.mkdir(parents=True)
        (folder / "training.json").write_text(json.dumps(self.record()))
        for name, frame in self.tables().items():
            frame.to_csv(folder / f"{name}.csv", index=False)
        return folder
