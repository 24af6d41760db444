"""Files are known by what they hold: one that is edited in place is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unit.sim.technology_tables import preset_data, write_table

from sim import content
from sim.architecture import load_architecture
from sim.content import ContentDigests
from sim.machine_energy import find_prices
from sim.sweep.design import find_area_mm2
from workloads.datasets.address import DatasetKind
from workloads.errors import InputError


def test_a_digest_follows_a_file_that_is_written_again_at_once(tmp_path: Path) -> None:
    path, digests = tmp_path / "a.bin", ContentDigests()
    found = set()
    for text in ("one", "two", "six"):
        path.write_text(text)
        found.add(digests.digest(path))
    assert len(found) == 3


def test_a_file_that_was_left_alone_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, digests, reads = tmp_path / "a.bin", ContentDigests(), []
    path.write_text("one")
    read = content.digest_file
    monkeypatch.setattr(content, "digest_file", lambda one: (reads.append(one), read(one))[1])
    # A file that was changed a moment ago may be changed again within the same tick of the clock.
    assert digests.digest(path) == digests.digest(path)
    assert len(reads) == 2
    monkeypatch.setattr(content, "SETTLED_NS", -(10**18))
    first = digests.digest(path)
    assert digests.digest(path) == first
    assert len(reads) == 3
    stat = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digests.digest(path) != first


def test_a_folder_is_its_files_with_their_names(tmp_path: Path) -> None:
    digests = ContentDigests()
    (tmp_path / "a").write_text("one")
    first = digests.digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert digests.digest(tmp_path) != first
    with pytest.raises(InputError, match=r"^.*missing: there is no such file$"):
        digests.digest(tmp_path / "missing")


@pytest.mark.parametrize("prefix", ["", *(f"{kind}:" for kind in DatasetKind)])
def test_a_path_in_plain_data_is_what_lies_there_whatever_kind_stands_before_it(tmp_path: Path, prefix: str) -> None:
    found = []
    for folder, text in (("here", "one"), ("there", "one"), ("here", "two")):
        path = tmp_path / folder / "images"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        found.append(ContentDigests().replace_paths({"operands": [{"dataset": f"{prefix}{path}"}]}))
    assert found[0] == found[1] != found[2]
    assert str(tmp_path) not in str(found)


@pytest.mark.parametrize("word", ["fashion_mnist", "npz:beside.npz", "other:/kind", "trained"])
def test_what_is_no_absolute_path_stays(word: str) -> None:
    assert ContentDigests().replace_paths([word, 1]) == [word, 1]


def test_prices_and_area_follow_a_technology_table_that_is_edited(tmp_path: Path) -> None:
    data = preset_data("45nm")
    path = write_table(tmp_path, data)
    machine = load_architecture("sparsetrain", (f"technology={path}",))
    first, area = find_prices(machine), find_area_mm2(machine)
    assert first is not None
    assert area is not None
    for part in data["parts"].values():
        for quantity in ("energy", "area"):
            if part.get(quantity):
                part[quantity]["value"] *= 10
    for kind in data["dram"].values():
        kind["value"] *= 10
    write_table(tmp_path, data)
    second, larger = find_prices(machine), find_area_mm2(machine)
    assert second is not None
    assert larger is not None
    prices = [{one.action: one.pj_per_action for one in prices.actions} for prices in (first, second)]
    assert prices[1]["multiplies"] == pytest.approx(10 * prices[0]["multiplies"], rel=1e-12)
    assert prices[1]["dram_read_bits"] == pytest.approx(10 * prices[0]["dram_read_bits"], rel=1e-12)
    assert larger > area


def test_prices_follow_an_sram_grid_that_is_put_beside_a_table(tmp_path: Path) -> None:
    path = write_table(tmp_path, preset_data("45nm"))
    machine = load_architecture("sparsetrain", (f"technology={path}",))
    first = find_prices(machine)
    shipped = (Path(content.__file__).parent / "presets/technologies/cacti_sram.csv").read_text().splitlines()
    place = shipped[0].split(",").index("read_pj")
    rows = [line.split(",") for line in shipped[1:]]
    lines = [",".join([*row[:place], str(10 * float(row[place])), *row[place + 1 :]]) for row in rows]
    (tmp_path / preset_data("45nm")["sram"]["grid"]).write_text("\n".join([shipped[0], *lines]) + "\n")
    second = find_prices(machine)
    assert first is not None
    assert second is not None
    reads = [
        next(one.pj_per_action for one in prices.actions if one.action == "buffer_reads") for prices in (first, second)
    ]
    assert reads[1] == pytest.approx(10 * reads[0], rel=1e-9)
