"""What a run needs is told before it starts, and a run that does not fit is refused with what would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim import simulate
from sim.iteration.memory_need import count_kept_outputs, estimate_memory
from workloads import memory
from workloads.errors import InputError
from workloads.operand_choice import choose_operands
from workloads.workload import Workload, load_workload

MIB, GIB = 2**20, 2**30

# Peaks that were measured, in MiB: the memory of the whole process, compiled kernels included.
MEASURED = [
    ("lenet5", None, None, False, True, 253), ("lenet5", 512, None, False, True, 487),
    ("lenet5", 512, None, False, False, 378), ("lenet5", 512, "synthetic", False, True, 456),
    ("resnet20", None, None, False, True, 278), ("vgg16_cifar", None, None, False, True, 516),
    ("resnet18_cifar", None, None, False, False, 458), ("alexnet", None, None, False, True, 980),
    ("resnet18", None, None, True, False, 430), ("vgg16", None, None, False, True, 1950),
    ("resnet152", None, None, False, True, 1130),
]  # fmt: skip


def estimate(name: str, batch: int | None, operands: str | None, is_sampled: bool, verifies: bool) -> int:
    workload = choose_operands(load_workload(name, batch=batch), operands=operands)
    layers = [node.name for node in workload.network.compute_nodes()]
    return estimate_memory(workload, layers, verifies=verifies, is_sampled=is_sampled)


@pytest.mark.parametrize(("name", "batch", "operands", "is_sampled", "verifies", "measured_mib"), MEASURED)
def test_the_estimate_is_what_is_certainly_held_and_half_of_the_peak_at_least(
    name: str, batch: int | None, operands: str | None, is_sampled: bool, verifies: bool, measured_mib: int
) -> None:
    estimated = estimate(name, batch, operands, is_sampled, verifies)
    assert 0.5 * measured_mib <= estimated / MIB <= measured_mib


def test_runs_that_fit_a_small_machine_are_not_refused() -> None:
    for name in ("alexnet", "vgg16", "resnet18", "resnet50", "resnet152", "inception_v3"):
        assert estimate(name, None, None, False, True) < 2 * GIB
    assert estimate("resnet18", 256, "synthetic", True, False) < GIB
    assert estimate("resnet18", 256, None, True, False) < 7 * GIB


def test_what_makes_a_run_larger_raises_the_estimate() -> None:
    small, large = (estimate("lenet5", batch, "synthetic", False, True) for batch in (64, 128))
    assert small < large
    assert estimate("lenet5", 128, "synthetic", False, False) < large
    assert estimate("lenet5", 128, "synthetic", True, False) < large
    assert large < estimate("lenet5", 128, None, False, True)


def limit_host(workload: Workload, limit_bytes: int | None) -> int:
    layers = [node.name for node in workload.network.compute_nodes()]
    return estimate_memory(workload, layers, verifies=False, is_sampled=True, limit_bytes=limit_bytes)


def test_a_limit_lowers_what_the_host_keeps() -> None:
    workload = load_workload("lenet5", batch=4096)
    assert limit_host(workload, MIB) == limit_host(workload, 0) + MIB
    assert limit_host(workload, 2**40) == limit_host(workload, None)


@pytest.fixture
def _little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: MIB // 2)


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "lenet5.yaml: the run needs 4.1 MiB of memory, 512 KiB are available; try a smaller --batch, --no-verify "
             "or --memory-limit"),
        ({"operands": "synthetic", "verify": False},
         "lenet5.yaml: the run needs 1.9 MiB of memory, 512 KiB are available; try a smaller --batch, --sample auto or "
         "--layers"),
    ],
)  # fmt: skip
def test_a_run_that_does_not_fit_is_refused_with_what_would(options: dict[str, object], message: str) -> None:
    run: Callable[..., object] = simulate
    with pytest.raises(InputError) as caught:
        run("lenet5", **{"batch": 16, **options})
    assert str(caught.value).rpartition("/")[2] == message


def test_control_groups_and_what_they_use_bound_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "outer" / "inner"
    group.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    (group / "memory.max").write_text("max\n")
    (tmp_path / "outer" / "memory.max").write_text("5000\n")
    (tmp_path / "outer" / "memory.current").write_text("3000\n")
    (tmp_path / "outer" / "memory.stat").write_text("anon 2000\ninactive_file 700\n")
    monkeypatch.setattr(memory, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(memory, "OWN_CGROUPS", own)
    assert memory.available_bytes() == 5000 - 3000 + 700


def test_control_groups_of_the_first_version_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "memory" / "mine"
    group.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("5:cpu,cpuacct:/mine\n4:memory:/mine\n")
    (group / "memory.limit_in_bytes").write_text("5000\n")
    (group / "memory.usage_in_bytes").write_text("6000\n")
    monkeypatch.setattr(memory, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(memory, "OWN_CGROUPS", own)
    assert memory.available_bytes() == 0


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (200 * 2**20, "200 MiB"), (3 * 2**39, "1.5 TiB"),
     (2**62, "4096 PiB")],
)  # fmt: skip
def test_a_size_is_written_in_its_unit(size: int, words: str) -> None:
    assert memory.describe_bytes(size) == words


def test_an_output_that_only_its_own_backward_reads_is_counted(tmp_path: Path) -> None:
    def elements(kind: str, follower: str) -> int:
        (tmp_path / "net.yaml").write_text(
            "name: net\nbatch: 2\ninput: {channels: 3, height: 4, width: 4}\nlayers:\n"
            "  - {name: conv, type: conv2d, out_channels: 5, kernel: 1}\n"
            f"  - {{name: act, type: {kind}}}\n  - {{name: last, type: {follower}}}\n"
        )
        return count_kept_outputs(load_workload(tmp_path / "net.yaml").network)

    assert elements("tanh", "dropout") == 2 * 5 * 4 * 4
    assert elements("tanh", "conv2d, out_channels: 2, kernel: 1") == 0
    assert elements("silu", "dropout") == elements("relu", "dropout") == elements("relu6", "dropout") == 0
