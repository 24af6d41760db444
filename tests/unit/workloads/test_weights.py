"""Initial weights from an .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.host import initial_parameters, parameter_shapes
from workloads.network import Network
from workloads.opening import open_operands
from workloads.operand_choice import choose_operands
from workloads.sources.host import HostOperands
from workloads.weights import load_weights
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

TEXT = """\
name: small
batch: 2
input: {channels: 1, height: 28, width: 28}
layers:
  - {name: conv1, type: conv2d, out_channels: 2, kernel: 5, stride: 4}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1}
"""


def workload(folder: Path, text: str = TEXT) -> Workload:
    return make_workload(parse_yaml(text, "net.yaml"), folder)


def network() -> Network:
    return workload(Path()).network


def make_arrays(**changed: Any) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = dict(initial_parameters(network(), 7))
    return {name: array for name, array in (arrays | changed).items() if array is not None}


def write(path: Path, **changed: Any) -> Path:
    np.savez(path, **make_arrays(**changed))  # type: ignore[arg-type]
    return path


def refuse(path: Path) -> str:
    with pytest.raises(InputError) as error:
        load_weights(path, network())
    return str(error.value)


def test_all_parameters_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "w.npz", **{"conv1/bias": np.array([0.5, -2], dtype=np.float16)})
    loaded, expected = load_weights(path, network()), make_arrays()
    assert list(loaded) == list(parameter_shapes(network()))
    for name in loaded:
        assert loaded[name].dtype == np.float32
        if name != "conv1/bias":
            np.testing.assert_array_equal(loaded[name], expected[name])
    assert loaded["conv1/bias"].tolist() == [0.5, -2]


NAN = np.array([[0, np.nan]] * 5, dtype=np.float32).reshape(10)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conv1/weight": None, "fc/bias": None},
         "the array 'conv1/weight' is missing; network 'small' has 6 parameters, 2 of them are not in the file"),
        ({"conv1/wieght": NAN}, "the array 'conv1/wieght' is no parameter of 'small'; did you mean 'conv1/weight'?"),
        ({"bn1/running_mean": NAN}, "the array 'bn1/running_mean' is no parameter of 'small'"),
        ({"fc/bias": np.zeros(9, np.float32)}, "the array 'fc/bias' has the shape (9,), the network needs (10,)"),
        ({"fc/bias": np.zeros(10)}, "the array 'fc/bias' must be float16 or float32, got float64"),
        ({"fc/bias": np.zeros(10, int)}, "the array 'fc/bias' must be float16 or float32, got int64"),
        ({"fc/bias": NAN}, "the array 'fc/bias' holds nan at [1]; all must be finite"),
        ({"fc/bias": NAN.astype(object)}, "array 'fc/bias' holds pickled Python objects, which are never loaded"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "w.npz", **changed)
    assert refuse(path) == f"{path}: {message}"


def test_files_without_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    assert refuse(path) == f"{path}: there is no such file"
    path.write_bytes(b"no zip")
    assert refuse(path) == (
        f"{path}: is not an .npz file; a zip archive of .npy arrays, as numpy.savez writes it, is expected"
    )
    with path.open("wb") as file:
        np.save(file, NAN)
    assert refuse(path) == f"{path}: is a single .npy array, not an .npz file of named arrays"


def test_weights_in_a_compression_that_numpy_does_not_write_are_refused(tmp_path: Path) -> None:
    path, plain = tmp_path / "w.npz", zipfile.ZipFile(write(tmp_path / "plain.npz"))
    with plain, zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    first = plain.namelist()[0].removesuffix(".npy")
    assert refuse(path) == f"{path}: array '{first}' is damaged: it is compressed as numpy does not do it"


def test_the_iteration_runs_on_the_given_weights(tmp_path: Path) -> None:
    write(tmp_path / "w.npz")
    text = TEXT.replace("seed: 1}", "seed: 1, weights: w.npz}")
    given = workload(tmp_path, text)
    stream = open_operands(given)
    assert stream.headline == "one host training iteration on 2 images of fashion_mnist, weights of w.npz, seed 1"
    np.testing.assert_array_equal(next(stream.layers).weight, make_arrays()["conv1/weight"])
    assert given.resolved()["operands"]["weights"] == str(tmp_path.resolve() / "w.npz")


def test_weights_are_overridden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "w.npz")
    monkeypatch.chdir(tmp_path)
    chosen = choose_operands(workload(Path("/elsewhere")), weights="w.npz")
    source = chosen.operand_source()
    assert isinstance(source, HostOperands)
    assert source.weights == str(tmp_path.resolve() / "w.npz")
    np.testing.assert_array_equal(next(open_operands(chosen).layers).weight, make_arrays()["conv1/weight"])


def test_random_weights_and_small_images_scaled_up_are_called_unrepresentative() -> None:
    text = TEXT.replace("seed: 1}", "seed: 1, images: {resize: [30, 28]}}").replace("height: 28", "height: 30")
    assert open_operands(workload(Path(), text)).headline == (
        "one host training iteration on 2 images of fashion_mnist, up-scaled from 28 x 28 to 30 x 28 "
        "(unrepresentative), random initial weights (unrepresentative of a trained network), seed 1"
    )
    text = TEXT.replace("seed: 1}", "seed: 1, images: {resize: 20}}").replace("28", "20")
    assert "up-scaled" not in open_operands(workload(Path(), text)).headline
