"""What a workload may say of its weights' masks, and the sentences for all else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.opening import check_operands
from workloads.workload import make_workload

NETWORK: dict[str, Any] = {
    "name": "small",
    "input": {"channels": 1, "height": 4, "width": 4},
    "layers": [
        {"name": "conv", "type": "conv2d", "out_channels": 2, "kernel": 3, "padding": 1},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 3},
        {"name": "loss", "type": "softmax_cross_entropy"},
    ],
    "operands": {"source": "synthetic", "seed": 3},
}


@pytest.mark.parametrize(("sparsify", "words"), [
    ({"method": "n_m", "n": 5, "m": 4}, "sparsify: n must be at most m, got 5 of 4"),
    ({"method": "n_m", "n": 0, "m": 4}, "sparsify.n must be a whole number from 1 to 16777216, got 0"),
    ({"method": "n_m", "n": 2, "m": 4, "along": "rows"},
     "sparsify.along must be one of 'channel', 'kernel', 'row', got 'rows'; did you mean 'row'?"),
    ({"method": "filter", "keep": 0.0}, "sparsify.keep must be a number above 0.0 and of at most 1.0, got 0.0"),
    ({"method": "filter", "keep": 0.5, "mode": "train"},
     "sparsify.mode must be 'solve' or 'plant', got 'train'"),
    ({"method": "filter"}, "sparsify.keep is missing"),
    ({"method": "block", "keep": 0.5, "rows": 4}, "sparsify.columns is missing"),
    ({"method": "random_connect", "alpha": 1.5},
     "sparsify.alpha must be a number above 0.0 and of at most 1.0, got 1.5"),
    ({"method": "random_connect", "alpha": 0.5, "mode": "plant"}, "sparsify: unknown field 'mode'"),
    ({"method": "file"}, "sparsify.path is missing"),
    ({"method": "kernel", "keep": 0.5, "freeze": "yes"}, "sparsify.freeze must be true or false, got 'yes'"),
])  # fmt: skip
def test_forms_that_are_none_are_refused(sparsify: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_workload(YamlDocument("net.yaml", NETWORK | {"sparsify": sparsify}), Path())
    assert str(caught.value).startswith(f"net.yaml: {words}")


def test_random_connections_of_fully_connected_layers_are_refused() -> None:
    sparsify = {"method": "random_connect", "alpha": 0.5, "layers": "fc"}
    made = make_workload(YamlDocument("net.yaml", NETWORK | {"sparsify": sparsify}), Path())
    with pytest.raises(InputError) as caught:
        check_operands(made)
    assert str(caught.value) == "sparsify: no layer matches 'fc'; the layers that random_connect can mask are conv"
