from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workloads.errors import InputError
from workloads.importers.importer import ImportedNetwork
from workloads.importers.reading import import_network

TITLES = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
HALF = {"input": 0.5, "grad_output": 0.5, "weight": 1.0}


def read(folder: Path, text: str, name: str = "net.csv") -> ImportedNetwork:
    """Import a topology of this text."""
    (folder / name).write_text(text)
    return import_network(folder / name)


def layers_of(folder: Path, *rows: str, titles: str = TITLES) -> list[dict[str, Any]]:
    """Import rows behind the usual titles."""
    layers: list[dict[str, Any]] = read(folder, "\n".join([titles, *rows])).data["layers"]
    return layers


def test_a_row_is_a_convolution_of_its_numbers(tmp_path: Path) -> None:
    assert layers_of(tmp_path, "Conv1, 13, 9, 5, 3, 16, 32, 2,") == [{
        "name": "Conv1", "type": "conv2d", "input": {"channels": 16, "height": 13, "width": 9},
        "out_channels": 32, "kernel": [5, 3], "stride": [2, 2], "bias": False,
    }]  # fmt: skip


def test_a_workload_has_the_files_name_and_assumed_densities(tmp_path: Path) -> None:
    found = read(tmp_path, f"{TITLES}\nConv1,9,9,3,3,4,8,1,\n", "my net.csv")
    assert {**found.data, "layers": len(found.data["layers"])} == {
        "name": "my_net", "description": "a layer of my net.csv", "batch": 1, "layers": 1,
        "operands": {"source": "synthetic", "seed": 1, "density": HALF},
    }  # fmt: skip
    assert found.notes == ("the densities of inputs and output gradients are assumed: half of them are zero",)


def test_a_last_window_over_the_edge_is_padded_there(tmp_path: Path) -> None:
    (layer,) = layers_of(tmp_path, "Conv1, 224, 56, 7, 1, 3, 64, 2")
    height, width, kernel, stride = 224, 56, 7, 2
    outputs = -(-(height - kernel) // stride) + 1, -(-(width - 1) // stride) + 1
    assert layer["padding"] == {
        "bottom": (outputs[0] - 1) * stride + kernel - height, "right": (outputs[1] - 1) * stride + 1 - width,
    }  # fmt: skip


def test_strides_may_be_two_columns(tmp_path: Path) -> None:
    titles = TITLES.replace("Strides,", "Stride Height, Stride Width")
    (layer,) = layers_of(tmp_path, "Conv1, 13, 9, 3, 3, 16, 32, 2, 1", titles=titles)
    assert layer["stride"] == [2, 1]


def test_a_depthwise_layer_has_filters_for_each_channel(tmp_path: Path) -> None:
    (layer,) = layers_of(tmp_path, "DP_2, 12, 12, 3, 3, 32, 2, 1,")
    assert (layer["groups"], layer["out_channels"]) == (32, 64)


@pytest.mark.parametrize(
    ("row", "size"),
    [
        ("FC6, 6, 6, 6, 6, 256, 40, 1,", {"features": 6 * 6 * 256}),
        ("FC6, 1, 1, 1, 1, 256, 40, 1,", {"features": 256}),
        ("FC6, 128, 16, 1, 16, 1, 40, 1,", {"tokens": 128, "channels": 16}),
    ],
)
def test_filters_that_take_the_image_or_its_rows_whole_are_fully_connected(
    row: str, size: dict[str, int], tmp_path: Path
) -> None:
    (layer,) = layers_of(tmp_path, row)
    assert layer == {"name": "FC6", "type": "linear", "input": size, "out_features": 40, "bias": False}


def test_products_are_fully_connected_layers_of_m_rows(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, "Test 1, 256, 128, 64,", "", titles="Layer Name, M, N, K,")
    assert layers == [
        {"name": "Test_1", "type": "linear", "input": {"tokens": 256, "channels": 64}, "out_features": 128,
         "bias": False}
    ]  # fmt: skip


def test_a_batch_of_products_is_so_many_layers(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, "QK, 16, 8, 4, 3,", titles="Layer, M, N, K, Batch,")
    assert [layer["name"] for layer in layers] == ["QK_0", "QK_1", "QK_2"]


def test_a_batch_of_images_is_that_of_the_workload(tmp_path: Path) -> None:
    titles = TITLES + " Batch Size,"
    rows = "\na, 9, 9, 3, 3, 4, 8, 1, 4,\nb, 9, 9, 3, 3, 4, 8, 1, "
    assert read(tmp_path, f"{titles}{rows}4,").data["batch"] == 4
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"{titles}{rows}2,")
    assert str(caught.value) == (
        f"{tmp_path}/net.csv, line 3: the batch is 2, before it was 4; it must be one for all layers"
    )


def test_blank_rows_remarks_tabs_and_names_that_stand_twice_are_read(tmp_path: Path) -> None:
    rows = ("", "\ta, 9, 9, 3, 3, 4, 8, 1,#dw", ",,,,,,,,", "a, 9, 9, 3, 3, 4, 8, 1", "input, 9, 9, 3, 3, 4, 8, 1, ")
    assert [layer["name"] for layer in layers_of(tmp_path, *rows)] == ["a", "a_2", "input_2"]
    tabbed = "\n".join([TITLES, "a, 9, 9, 3, 3, 4, 8, 1,"]).replace(",", "\t")
    assert read(tmp_path, tabbed).data["layers"] == layers_of(tmp_path, rows[3])


def test_sparsity_is_the_density_of_a_layers_weight(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        TITLES + " Sparsity,\na,9,9,3,3,4,8,1,2:4,\nb,9,9,3,3,4,8,1,2:4,\nc,9,9,3,3,4,8,1,1:4,\nd,9,9,3,3,4,8,1,1",
    )
    assert found.data["operands"] == {
        "source": "synthetic", "seed": 1, "density": {**HALF, "weight": 2 / 4},
        "layer_density": {"c": {**HALF, "weight": 1 / 4}, "d": HALF},
    }  # fmt: skip


ROW = "Conv1, 9, 9, 3, 3, 4, 8, 1,"
REFUSED = {
    "": ": is empty; a row of titles and a row for each layer are expected",
    TITLES: ": holds no layer; a row for each is expected behind the titles",
    "a,b,c\n": (
        ", line 1: the column 'a' is unknown; allowed are Layer, IFMAP Height, IFMAP Width, Filter Height, "
        "Filter Width, Channels, Num Filter, Sparsity, Batch, Strides, Stride Height, Stride Width"
    ),
    "Layer, M, K,\na, 1, 2,": ", line 1: the column 'N' is missing; the titles are Layer, M, K",
    "Layer, M, M, K,\na, 1, 2,": ", line 1: the column 'M' stands twice",
    "Layer, M, , K,\na, 1, 2,": ", line 1: the column '' is unknown; allowed are Layer, M, N, K, Sparsity, Batch",
    f"{TITLES[:-9]}\n{ROW}": (
        ", line 1: the column 'Stride Height' is missing; the titles are Layer name, IFMAP Height, IFMAP Width, "
        "Filter Height, Filter Width, Channels, Num Filter"
    ),
    f"{TITLES}\nConv1, B, 9, 3, 3, 4, 8, 1,": (
        ", line 2: 'IFMAP Height' is 'B', as in a template; a whole number from 1 to 16777216 is needed"
    ),
    f"{TITLES}\nConv1, 9, 9, 3, 3, 4, 8, 1.5,": (
        ", line 2: 'Strides' is '1.5'; a whole number from 1 to 16777216 is expected"
    ),
    f"{TITLES}\nConv1, 9, 9, 3, 3, 0, 8, 1,": (
        ", line 2: 'Channels' is '0'; a whole number from 1 to 16777216 is expected"
    ),
    f"{TITLES}\nConv1, 9, 9, 3, 3, 4, 16777217, 1,": (
        ", line 2: 'Num Filter' is '16777217'; a whole number from 1 to 16777216 is expected"
    ),
    f"{TITLES}\nConv1, 9, 9, 3, 3, 4, ,1,": ", line 2: 'Num Filter' is missing",
    f"{TITLES}\nConv1, 9, 9, 3,": ", line 2: 'Filter Width' is missing",
    f"{TITLES}\n, 9, 9, 3, 3, 4, 8, 1,": ", line 2: 'Layer' is missing",
    f"{TITLES}\nConv1, 9, 9, 3, 3, 4, 8, 1, 2:4,": (
        ", line 2: holds 9 cells, the titles are 8: Layer, IFMAP Height, IFMAP Width, Filter Height, Filter Width, "
        "Channels, Num Filter, Strides"
    ),
    f"{TITLES}\nConv1, 9, 9, 10, 3, 4, 8, 1,": (
        ", line 2: 'Filter Height' is 10; it must not be larger than 'IFMAP Height', 9"
    ),
    f"{TITLES} Sparsity,\nConv1, 9, 9, 3, 3, 4, 8, 1, 4:2,": (
        ", line 2: 'Sparsity' is '4:2'; N:M is expected, N of M weights in a row not zero, such as 2:4, or 1"
    ),
    f"{TITLES} Sparsity,\nConv1, 9, 9, 3, 3, 4, 8, 1, 50%,": (
        ", line 2: 'Sparsity' is '50%'; N:M is expected, N of M weights in a row not zero, such as 2:4, or 1"
    ),
    "Layer, M, N, K, Batch,\na, 1, 1, 1, 5000,": ", line 2: is the 4097th layer; 4096 at most are read",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_fault_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/net.csv{REFUSED[text]}"


def test_a_file_that_no_importer_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to import")
    with pytest.raises(InputError) as caught:
        import_network(tmp_path / "notes.txt")
    assert str(caught.value).startswith(f"{tmp_path}/notes.txt: is no file that can be imported; that is ")
