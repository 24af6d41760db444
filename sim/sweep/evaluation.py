"""One point's evaluation: a job goes in, an outcome comes out, whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataflows.contract.errors import UnmappableLayerError
from sim.architecture import Architecture
from sim.iteration.policies import choose_contenders
from sim.iteration.request import SimulationRequest, choose_layers, parse_request_sample, parse_steps
from sim.iteration.simulation import run_request
from sim.step.work import StepWork
from sim.sweep.design import Design
from sim.sweep.form import SweepForm
from sim.sweep.job import Job, Outcome, Status
from sim.sweep.metrics import measure_run
from sim.sweep.sharing import SharedWork
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.shapes import Step
from workloads.validation import validate_document
from workloads.workload import Workload, make_workload

KEPT_WORKLOADS = 8
REASON_CHARACTERS = 2000


def make_job(design: Design, key: str, workload_digest: str, form: SweepForm, *, shares: bool) -> Job:
    """Make the job of a design."""
    baseline = design.baseline
    return Job(
        key=key,
        workload_digest=workload_digest,
        workload=design.workload.resolved(),
        machine=design.machine.model_dump(mode="json"),
        baseline=baseline.model_dump(mode="json") if isinstance(baseline, Architecture) else baseline,
        steps=tuple(step.value for step in form.steps or tuple(Step)),
        layers=form.layers,
        sample=form.sample,
        shares=shares,
    )


class Evaluator:
    """Evaluates jobs by simulation; keeps between them what they share."""

    def __init__(self) -> None:
        self._work = SharedWork()
        self._workloads: dict[str, Workload] = {}

    def __call__(self, job: Job) -> Outcome:
        """Evaluate a job; every error becomes an outcome."""
        return evaluate_safely(self._measure, job)

    def _measure(self, job: Job) -> dict[str, Any]:
        work = self._work if job.shares else StepWork()
        baseline = job.baseline if job.baseline is None or isinstance(job.baseline, str) else load_machine(job.baseline)
        workload = self._find_workload(job)
        request = SimulationRequest(
            workload=workload,
            contenders=choose_contenders(load_machine(job.machine), baseline, ()),
            steps=parse_steps(job.steps),
            layers=job.layers,
            chosen=choose_layers(workload, job.layers),
            sample=parse_request_sample(job.sample),
            verifies=False,
        )
        return measure_run(run_request(request, work=work))

    def _find_workload(self, job: Job) -> Workload:
        if job.workload_digest not in self._workloads:
            loaded = make_workload(YamlDocument(str(job.workload["name"]), job.workload), Path())
            self._workloads = {**dict(list(self._workloads.items())[1 - KEPT_WORKLOADS :]), job.workload_digest: loaded}
        return self._workloads[job.workload_digest]


def evaluate_safely(measure: Callable[[Job], dict[str, Any]], job: Job) -> Outcome:
    """Evaluate a job by `measure`; a layer that does not fit is infeasible, any other error a failure."""
    started = time.perf_counter()
    try:
        metrics = measure(job)
    except UnmappableLayerError as error:
        return Outcome(job.key, Status.INFEASIBLE, shorten(str(error)), seconds=time.perf_counter() - started)
    except Exception as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return Outcome(job.key, Status.FAILED, shorten(reason), seconds=time.perf_counter() - started)
    return Outcome(job.key, Status.DONE, metrics=metrics, seconds=time.perf_counter() - started)


def shorten(reason: str) -> str:
    """Make one line of a reason."""
    line = " ".join(reason.split())
    return line if len(line) <= REASON_CHARACTERS else line[: REASON_CHARACTERS - 3] + "..."


def load_machine(data: dict[str, Any]) -> Architecture:
    """Validate a machine's data."""
    return validate_document(YamlDocument(str(data["name"]), data), Architecture)
