"""Tensors kept in memory up to a limit and in files beyond it: the same elements, counted, and gone at the end."""

from __future__ import annotations

import dataclasses
import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.host import HostOptions, initial_parameters, run_iteration
from workloads.kept_tensors import TensorKeeper, open_keeper, parse_size
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.workload import load_workload


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), (7, 7), ("4096", 4096), ("3KiB", 3 * 2**10), ("512MiB", 2**29), ("2 GiB", 2**31), ("1TiB", 2**40)],
)
def test_a_size_is_a_whole_number_of_bytes_or_has_a_unit(text: str | int, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5GiB", "512MB", "512mib", "1e9", "1_000", -1, True, "2GiB 1"])
def test_another_size_is_refused(text: str | int) -> None:
    with pytest.raises(InputError) as caught:
        parse_size(text)
    assert str(caught.value) == (
        "the memory limit must be a whole number of bytes, or one with the unit KiB, MiB, GiB or TiB, such as 512MiB, "
        f"got '{text}'"
    )


def count_files(folder: Path) -> int:
    return len(list(folder.iterdir()))


def test_what_fits_stays_and_what_does_not_is_mapped(tmp_path: Path) -> None:
    keeper = TensorKeeper(200, tmp_path)
    first, second = np.arange(30, dtype=np.float32), np.arange(30, dtype=np.float32) + 1
    assert keeper.keep(first) is first
    mapped = keeper.keep(second)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, second)
    assert (keeper.held_bytes, keeper.spilled_bytes, count_files(tmp_path)) == (first.nbytes, second.nbytes, 1)


def test_an_array_that_is_kept_twice_is_counted_once_and_stored_once(tmp_path: Path) -> None:
    keeper = TensorKeeper(150, tmp_path)
    first, second = np.ones((4, 8), np.float32), np.ones((4, 8), np.float32)
    assert keeper.keep(first) is first
    assert keeper.keep(first[:2]).base is first
    mapped = keeper.keep(second)
    assert keeper.keep(second) is mapped
    assert keeper.keep(mapped) is mapped
    assert keeper.keep(mapped.reshape(-1)).base is mapped
    assert keeper.keep(second[:2]).shape == (2, 8)
    assert (keeper.held_bytes, keeper.spilled_bytes) == (first.nbytes, second.nbytes + second[:2].nbytes)


def test_a_view_in_memory_is_counted_with_all_that_it_keeps_there(tmp_path: Path) -> None:
    keeper = TensorKeeper(100, tmp_path)
    whole = np.ones(30, np.float32)
    part = keeper.keep(whole[:2])
    assert isinstance(part, np.memmap)
    assert (keeper.held_bytes, keeper.spilled_bytes) == (0, part.nbytes)


def test_what_nothing_refers_to_makes_room_and_leaves_no_file(tmp_path: Path) -> None:
    keeper = TensorKeeper(100, tmp_path)
    kept: list[NDArray[Any]] = [keeper.keep(np.ones(25, np.float32)), keeper.keep(np.ones(25, np.float32))]
    assert (keeper.held_bytes, count_files(tmp_path)) == (100, 1)
    kept.clear()
    gc.collect()
    assert (keeper.held_bytes, count_files(tmp_path)) == (0, 0)
    third = np.ones(25, np.float32)
    assert keeper.keep(third) is third


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mapped_array_has_the_elements_the_type_and_the_order_of_its_own(
    tmp_path: Path, dtype: type[np.generic], order: Any
) -> None:
    array = np.asarray(np.random.default_rng(1).integers(0, 2, (3, 4, 5)).astype(dtype), order=order)
    mapped = TensorKeeper(0, tmp_path).keep(array)
    np.testing.assert_array_equal(mapped, array)
    assert (mapped.dtype, mapped.strides) == (array.dtype, array.strides)
    assert mapped.flags.writeable


def test_what_was_read_stays_readable_when_its_pages_are_released(tmp_path: Path) -> None:
    keeper = TensorKeeper(0, tmp_path)
    mapped = keeper.keep(np.arange(5000, dtype=np.float32))
    assert mapped.sum() == 4999 * 5000 / 2
    keeper.release_pages()
    assert mapped.sum() == 4999 * 5000 / 2


def test_an_empty_array_is_kept_as_it_is(tmp_path: Path) -> None:
    array = np.empty((0, 3), np.float32)
    assert TensorKeeper(0, tmp_path).keep(array) is array


def test_a_place_without_room_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(InputError) as caught:
        TensorKeeper(3, folder).keep(np.ones(2, np.float32))
    assert str(caught.value) == (
        f"the memory limit of 3 bytes needs room for 8 more bytes in {folder}, but: No such file or directory "
        "(the environment variable TMPDIR names another place)"
    )


def test_the_directory_is_removed_at_the_end_and_on_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_keeper("0") as keeper:
        assert keeper is not None
        kept = keeper.keep(np.ones(4))
        assert count_files(tmp_path) == 1
    assert count_files(tmp_path) == 0
    np.testing.assert_array_equal(kept, np.ones(4))
    with pytest.raises(RuntimeError, match="stopped"):
        keep_and_stop()
    assert count_files(tmp_path) == 0


def keep_and_stop() -> None:
    with open_keeper("0") as keeper:
        assert keeper is not None
        keeper.keep(np.ones(4))
        raise RuntimeError("stopped")


def assert_same(left: Operands, right: Operands) -> None:
    for field in dataclasses.fields(Operands):
        mine, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.tobytes() == other.tobytes(), (left.layer, field.name)
            assert mine.flags.c_contiguous, (left.layer, field.name)
        elif field.name == "summed":
            assert [one.tobytes() for one in mine] == [one.tobytes() for one in other], left.layer
        else:
            assert mine == other, (left.layer, field.name)


@pytest.mark.parametrize("limit", ["0", "200KiB"])
@pytest.mark.parametrize("name", ["lenet5", "alexnet_cifar", "resnet20"])
def test_a_limit_changes_no_operand(name: str, limit: str) -> None:
    workload = load_workload(name, batch=2)
    with open_keeper(limit) as keeper:
        assert keeper is not None
        limited = open_operands(workload, keeper=keeper)
        assert 0 <= keeper.held_bytes <= parse_size(limit)
        assert keeper.spilled_bytes > 0
        layers = list(limited.layers)
    free = open_operands(workload)
    assert (limited.headline, limited.facts) == (free.headline, free.facts)
    for left, right in zip(layers, free.layers, strict=True):
        assert_same(left, right)


def test_every_tensor_and_gradient_of_a_layer_is_within_the_limit() -> None:
    """With a limit of nothing only the images, which are the caller's, lie in memory."""
    workload = load_workload("resnet20", batch=1)
    network = workload.network
    images = np.random.default_rng(2).standard_normal(network.input_shape, dtype=np.float32)
    with open_keeper("0") as keeper:
        assert keeper is not None
        done = run_iteration(
            network,
            initial_parameters(network, 1),
            images,
            np.array([3]),
            seed=1,
            options=HostOptions(keep=keeper.keep),
        )
        for name, tensors in done.tensors.items():
            kept = [tensors.grad_output, *tensors.summed, *([] if tensors.input is images else [tensors.input])]
            assert all(isinstance(array, np.memmap) for array in kept), name
        assert all(isinstance(gradient, np.memmap) for gradient in done.grads.values())
