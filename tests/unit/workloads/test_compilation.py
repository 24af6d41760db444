"""A kernel's place in numba's cache is named by what the kernel is, not by the line where it stands."""

from __future__ import annotations

from dataflows.rows.masked_cycles import count_masked_rows
from dataflows.tiling.search import divide_up
from workloads.compilation import KernelCache, make_entry


def test_a_cache_is_named_by_its_kernel() -> None:
    name = KernelCache(divide_up)._cache_file._index_name
    assert name.startswith("dataflows.tiling.search.divide_up.py3")
    assert name != KernelCache(count_masked_rows)._cache_file._index_name


def test_what_is_compiled_gives_what_the_source_says() -> None:
    entry = make_entry(divide_up)
    assert [entry(amount, 4) for amount in (0, 1, 4, 5)] == [0, 1, 1, 2]
