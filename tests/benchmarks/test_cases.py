"""The cases load, their layers are told to SCALE-Sim as they are, and a quick session runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numba
import pytest
from benchmarks.cases import CASES, FIT_PIXELS, Case, cut_profile, fit_case, load_case, read_case
from benchmarks.child import list_products, measure
from benchmarks.compile_time import CompileTimes
from benchmarks.runner import ChildError, measure_case, run_child
from benchmarks.scalesim_cases import SCALESIM_CASES, list_layers

from workloads.opening import open_operands
from workloads.shapes import Step
from workloads.sources.profile import ProfileOperands

LENET = Case("LeNet-5", "lenet5")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_loads_with_its_batch(case: Case, tmp_path: Path) -> None:
    loaded = load_case(case, tmp_path)
    assert loaded.form.batch == case.batch
    assert isinstance(loaded.form.operands, ProfileOperands) == (case.profile is not None)


@pytest.mark.parametrize("pixels", FIT_PIXELS)
def test_the_fit_runs_images_of_each_size(pixels: int, tmp_path: Path) -> None:
    loaded = load_case(fit_case(pixels), tmp_path)
    assert loaded.network.input_shape == (1, 3, pixels, pixels)
    assert loaded.form.model_dump()["operands"]["images"]["resize"] == pixels


def test_a_case_is_read_as_it_was_written() -> None:
    assert [read_case(asdict(case)) for case in CASES] == list(CASES)


def test_a_profile_is_cut_to_the_layers_that_a_network_has() -> None:
    text = "# source\nlayer,tensor,zeros_last\na,output,0.1\nb,output,0.2\n"
    assert cut_profile(text, ["b", "c"]) == "layer,tensor,zeros_last\nb,output,0.2\n"


def test_the_products_of_a_layer_have_its_nominal_macs(tmp_path: Path) -> None:
    for operands in open_operands(load_case(LENET, tmp_path)).layers:
        for step in Step:
            products = list_products(operands, step)
            assert sum(rows * inner * columns for rows, inner, columns in products) == operands.shape.nominal_macs


@pytest.mark.parametrize("case", SCALESIM_CASES, ids=lambda case: case.name)
def test_the_layers_for_scalesim_have_the_macs_of_the_forward_pass(case: Case, tmp_path: Path) -> None:
    network = load_case(case, tmp_path).network
    macs = 0
    for row in list_layers(network):
        height, width, kernel_height, kernel_width, channels, filters, down, across = (int(size) for size in row[1:])
        places = ((height - kernel_height) // down + 1) * ((width - kernel_width) // across + 1)
        macs += places * kernel_height * kernel_width * channels * filters
    assert macs == sum(network.layer_shape(node.name).nominal_macs for node in network.compute_nodes())


def test_a_quick_case_is_measured_in_each_of_its_roles() -> None:
    told: list[str] = []
    measured = measure_case(LENET, 1, told.append)
    assert told == [f"LeNet-5: {role}, 1 of 1" for role in ("verified", "unverified", "reference")]
    kinds = {f"{role}_{kind}" for role in ("verified", "unverified") for kind in ("s", "cpu_s", "peak_bytes")}
    assert set(measured.samples) == kinds | {"load_s", "load_peak_bytes", "reference_s", "gemm_s"}
    assert all(value > 0 for values in measured.samples.values() for value in values)
    assert measured.counts["dense_macs"] >= measured.counts["effectual_macs"] > 0
    assert measured.counts["dense_macs"] > measured.counts["forward_macs"] > 0


def test_a_case_that_this_version_refuses_is_missing_with_its_reason() -> None:
    assert measure("unverified", Case("none", "no_such_preset"))["missing"].startswith("'no_such_preset' is neither")


def test_a_measuring_process_that_fails_is_an_error_that_ends_with_its_words() -> None:
    with pytest.raises(ChildError, match=r"^LeNet-5, verified: the process ended with 1: .*PYTHONHASHSEED"):
        run_child("verified", LENET, PYTHONHASHSEED="none")


def test_compilations_of_a_module_are_summed_and_inner_ones_counted_once() -> None:
    @numba.njit  # type: ignore[untyped-decorator]
    def inner(value: int) -> int:
        return value + 1

    @numba.njit  # type: ignore[untyped-decorator]
    def outer(value: int) -> int:
        return int(inner(value)) * 2

    with CompileTimes() as times:
        assert outer(1) == 4
    assert times.modules()[__name__] > 0
    assert list(times.modules().values()) == sorted(times.modules().values(), reverse=True)
