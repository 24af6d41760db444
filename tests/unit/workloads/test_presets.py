"""The networks that ship with the package: parameters and nominal MACs of one image, as their sources give them."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest

from workloads.host import parameter_shapes
from workloads.kinds.batch_norm import BatchNorm
from workloads.kinds.conv2d import Conv2d
from workloads.presets import preset_names
from workloads.sources.host import HostOperands
from workloads.workload import Workload, load_workload

# Parameters from the tables of the models' pages in torchvision's documentation; inception_v3 from
# `inception_v3(aux_logits=False)`: the 27,161,264 of the table less its auxiliary classifier.
TORCHVISION_PARAMETERS = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet152": 60_192_808,
    "inception_v3": 27_161_264 - 3_326_696,
    "squeezenet1_1": 1_235_496,
    "densenet121": 7_978_856,
    "googlenet": 6_624_904,
    "mobilenet_v2": 3_504_872,
    "shufflenet_v2": 2_278_604,
    "efficientnet_b0": 5_288_548,
    "convnext_tiny": 28_589_128,
}
# The figures `_ops` in the metadata of torchvision's weights, in units of 1e9 multiply-accumulates.
TORCHVISION_GMACS = {
    "alexnet": 0.714,
    "vgg16": 15.47,
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet152": 11.514,
    "inception_v3": 5.713,
    "squeezenet1_1": 0.349,
    "densenet121": 2.834,
    "googlenet": 1.498,
    "mobilenet_v2": 0.301,
    "shufflenet_v2": 0.145,
    "efficientnet_b0": 0.386,
    "convnext_tiny": 4.456,
}
# Layers 0 to 12 of the configuration yolov3-tiny in the Darknet repository.
YOLO_CHANNELS = (3, 16, 32, 64, 128, 256, 512, 1024)
UNET_CONVOLUTIONS = (
    (1, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256),
    (256, 128), (128, 128), (128, 64), (64, 64), (64, 32), (32, 32), (32, 16), (16, 16),
)  # fmt: skip
UNET_SIDES = tuple(side for side in (128, 64, 32, 16, 8, 16, 32, 64, 128) for _ in range(2))
YOLO_SIDES = (416, 208, 104, 52, 26, 13, 13)
SMALL_PARAMETERS = {
    # LeNet-5: 156 + 2416 + 48120 + 10164 + 850.
    "lenet5": 61_706,
    # 2.47 million in the table of https://github.com/bearpaw/pytorch-classification.
    "alexnet_cifar": 2_472_266,
    # VGG16 of https://github.com/kuangliu/pytorch-cifar without the 4,224 biases of its convolutions.
    "vgg16_cifar": 14_728_266 - 4_224,
    # ResNet18 of https://github.com/kuangliu/pytorch-cifar.
    "resnet18_cifar": 11_173_962,
    # He et al., CVPR 2016, section 4.2 (269,722 with shortcuts of option A), and two projections with batch norm.
    "resnet20": 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64,
    # Table 1 of Touvron et al., ICML 2021, gives 5.7 million; those of vit_tiny_patch16_224 in timm.
    "vit_tiny": 5_717_416,
    # 13.3 million in the README of the authors' code.
    "transcnn_tiny": 13_315_976,
    # 12.7 million in that README, with the norms behind the projections that are never used: 2 x 2,880.
    "hat_net_tiny": 12_650_152,
    # Five pairs down, four up, of 3x3 convolutions with batch norm; four transposed ones; 10 scores.
    "unet_small": 9 * sum(a * b for a, b in UNET_CONVOLUTIONS)
    + 2 * sum(b for _, b in UNET_CONVOLUTIONS)
    + sum(4 * 2 * b * b + b for b in (128, 64, 32, 16))
    + 10 * 17,
    # Seven 3x3 convolutions, their batch norms (2 x 2,032), and the classifier in the place of the heads.
    "yolo_tiny": 9 * sum(a * b for a, b in pairwise(YOLO_CHANNELS)) + 2 * sum(YOLO_CHANNELS[1:]) + 1025 * 1000,
}
SMALL_MACS = {
    "lenet5": 416_520,
    "alexnet_cifar": 14_957_056,
    "vgg16_cifar": 313_201_664,
    "resnet18_cifar": 555_422_720,
    # 40,550,400 of the convolutions on the main path and 640 of the classifier; 2 x 131,072 of the projections.
    "resnet20": 40_551_040 + 2 * 131_072,
    # 12 blocks: 197 x 192 x (3 + 1 + 4 + 4) x 192 of linear layers, 2 x 3 x 197^2 x 64 of attention; patches; classes.
    "vit_tiny": 12 * (197 * 192 * 12 * 192 + 2 * 197**2 * 192) + 196 * 192 * 768 + 192 * 1000,
    # The sum over its layers; 0.277 G of it are products of attention.
    "transcnn_tiny": 2_850_541_568,
    # 2.0 GFLOPs in the README, products of attention (0.158 G) left out.
    "hat_net_tiny": 2_128_134_912,
    "unet_small": 9 * sum(a * b * side**2 for (a, b), side in zip(UNET_CONVOLUTIONS, UNET_SIDES, strict=True))
    + sum(2 * b * b * (128 * 16 // b) ** 2 for b in (128, 64, 32, 16))
    + 10 * 16 * 128**2,
    "yolo_tiny": 9 * sum(a * b * side**2 for (a, b), side in zip(pairwise(YOLO_CHANNELS), YOLO_SIDES, strict=True))
    + 1024 * 1000,
}
ACCELERATED_LAYERS = {
    "alexnet": 8,
    "vgg16": 16,
    "resnet18": 18 + 3,
    "resnet34": 34 + 3,
    "resnet50": 50 + 4,
    "resnet152": 152 + 4,
    "inception_v3": 94 + 1,
    "squeezenet1_1": 2 + 8 * 3,
    "densenet121": 121,
    "googlenet": 3 + 9 * 6 + 1,
    "mobilenet_v2": 2 + 2 + 16 * 3 + 1,
    "shufflenet_v2": 2 + 3 * 5 + 13 * 3 + 1,
    "efficientnet_b0": 2 + 4 + 15 * 5 + 1,
    "convnext_tiny": 4 + 18 * 3 + 1,
    "yolo_tiny": 7 + 1,
    "unet_small": 18 + 4 + 1,
    "vit_tiny": 1 + 12 * (4 + 2) + 1,
    "transcnn_tiny": 111,
    "hat_net_tiny": 137,
    "lenet5": 5,
    "alexnet_cifar": 6,
    "vgg16_cifar": 14,
    "resnet18_cifar": 18 + 3,
    "resnet20": 20 + 2,
}


def count_parameters(made: Workload) -> int:
    return sum(prod(shape) for shape in parameter_shapes(made.network).values())


def count_image_macs(made: Workload) -> int:
    shapes = [made.network.layer_shape(node.name) for node in made.network.compute_nodes()]
    return sum(shape.nominal_macs for shape in shapes) // made.form.batch


def test_every_preset_is_counted() -> None:
    counted = {*TORCHVISION_PARAMETERS, *SMALL_PARAMETERS}
    assert counted == set(preset_names()) == set(ACCELERATED_LAYERS)
    assert counted == {*TORCHVISION_GMACS, *SMALL_MACS}


@pytest.mark.parametrize("name", ACCELERATED_LAYERS)
def test_a_preset_has_the_parameters_of_its_source(name: str) -> None:
    assert count_parameters(load_workload(name)) == {**TORCHVISION_PARAMETERS, **SMALL_PARAMETERS}[name]


@pytest.mark.parametrize("name", TORCHVISION_GMACS)
def test_a_preset_has_the_macs_that_torchvision_counts(name: str) -> None:
    assert f"{count_image_macs(load_workload(name)) / 1e9:.3f}" == f"{TORCHVISION_GMACS[name]:.3f}"


@pytest.mark.parametrize("name", SMALL_MACS)
def test_a_small_preset_has_the_macs_of_its_topology(name: str) -> None:
    assert count_image_macs(load_workload(name)) == SMALL_MACS[name]


@pytest.mark.parametrize("name", ACCELERATED_LAYERS)
def test_a_preset_has_the_layers_that_it_is_named_by(name: str) -> None:
    made = load_workload(name)
    assert len(made.network.compute_nodes()) == ACCELERATED_LAYERS[name]
    assert isinstance(made.operand_source(), HostOperands)


# Their batch norm stands before ReLU and convolution.
PRE_ACTIVATED = {"densenet121"}
# The two convolutions of each gate have a bias and no batch norm.
GATED = {"efficientnet_b0"}
# Its layer norm stands behind convolutions that have a bias.
LAYER_NORMED = {"convnext_tiny", "vit_tiny", "hat_net_tiny"}
# Its batch norm stands before what it normalises, too, and behind convolutions with a bias.
ATTENTIVE = {"transcnn_tiny"}


@pytest.mark.parametrize("name", sorted(ACCELERATED_LAYERS.keys() - PRE_ACTIVATED - GATED - LAYER_NORMED - ATTENTIVE))
def test_a_convolution_has_a_bias_unless_batch_norm_follows(name: str) -> None:
    network = load_workload(name).network
    for node in network.nodes:
        if isinstance(node.layer, Conv2d):
            followers = [isinstance(reader.layer, BatchNorm) for reader in network.consumers(node.name)]
            assert followers == [not node.layer.bias]


@pytest.mark.parametrize("name", ["resnet50", "resnet152"])
def test_a_bottleneck_has_its_stride_in_the_3x3_convolution(name: str) -> None:
    network = load_workload(name).network
    for node in network.compute_nodes():
        if node.name.startswith("layer") and isinstance(node.layer, Conv2d) and node.layer.stride == 2:
            assert node.name.endswith(("0.conv2", "0.downsample.0"))


@pytest.mark.parametrize(
    ("name", "last_images"),
    [("alexnet", (256, 6, 6)), ("vgg16", (512, 7, 7)), ("resnet50", (2048, 7, 7)), ("inception_v3", (2048, 8, 8)),
     ("resnet18_cifar", (512, 4, 4)), ("vgg16_cifar", (512, 1, 1)), ("resnet20", (64, 8, 8))],
)  # fmt: skip
def test_the_last_images_have_the_size_of_the_source(name: str, last_images: tuple[int, int, int]) -> None:
    network = load_workload(name).network
    before = next(node for node in network.nodes if node.layer.type in ("global_avg_pool", "flatten"))
    assert before.input_shapes[0][1:] == last_images


def test_a_resolved_preset_of_blocks_is_the_same_network() -> None:
    made = load_workload("resnet152")
    assert len(made.resolved()["layers"]) == len(made.network.nodes)
    assert made.network.node("layer3.35.conv1").inputs == ("layer3.34.relu3",)
