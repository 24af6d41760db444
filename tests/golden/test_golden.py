"""Cycles, tiles and DRAM bytes of preset networks are those of cycles.csv, which make_golden.py writes."""

from __future__ import annotations

import pytest
from golden.make_golden import GOLDEN, NETWORKS, write_golden


@pytest.mark.parametrize("network", NETWORKS)
def test_a_preset_network_takes_the_cycles_that_it_took(network: str) -> None:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    expected = [line for line in lines if line.startswith(f"{network},")]
    assert expected
    assert write_golden(network).splitlines() == expected


def test_the_golden_file_holds_the_preset_networks_alone() -> None:
    header, *lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert header.startswith("network,batch,layer,step,machine,cycles")
    assert {line.partition(",")[0] for line in lines} == set(NETWORKS)
