"""Models of torch that the tests record; only for tests that have torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

CLASSES = 10


class SmallCnn(nn.Module):
    """Convolutions with in-place ReLUs, pooling, dropout and two fully connected layers."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True), nn.AvgPool2d(2),
        )  # fmt: skip
        self.drop = nn.Dropout(rate)
        self.fc1 = nn.Linear(8 * 3 * 3, 20)
        self.fc2 = nn.Linear(20, CLASSES)

    def forward(self, images: Any) -> Any:
        features = self.features(images)
        hidden = self.drop(functional.relu(self.fc1(features.view(features.size(0), -1))))
        return self.fc2(hidden)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, images: Any) -> Any:
        shortcut = images if self.downsample is None else self.downsample(images)
        output = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(images)))))
        output += shortcut
        return self.relu(output)


class ResNet18(nn.Module):
    """ResNet-18 with fewer channels: eight basic blocks in four stages (He et al. 2016, table 1)."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = []
        channels = width
        for number in range(4):
            out_channels = width * 2**number
            stages.append(BasicBlock(channels, out_channels, 1 if number == 0 else 2))
            stages.append(BasicBlock(out_channels, out_channels, 1))
            channels = out_channels
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, images: Any) -> Any:
        features = self.layers(self.maxpool(self.relu(self.bn1(self.conv1(images)))))
        return self.fc(torch.flatten(self.avgpool(features), 1))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection (Sandler et al. 2018, figure 4)."""

    def __init__(self, channels: int, out_channels: int, stride: int, factor: int) -> None:
        super().__init__()
        inner = channels * factor
        self.adds = stride == 1 and channels == out_channels
        self.conv = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels),
        )  # fmt: skip

    def forward(self, images: Any) -> Any:
        return images + self.conv(images) if self.adds else self.conv(images)


class MobileNetV2(nn.Module):
    """MobileNetV2 with a tenth of its channels and its 17 blocks (Sandler et al. 2018, table 2)."""

    STAGES = ((1, 2, 1, 1), (6, 3, 2, 2), (6, 3, 3, 2), (6, 6, 4, 2), (6, 9, 3, 1), (6, 16, 3, 2), (6, 32, 1, 1))

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)]
        channels = 4
        for factor, out_channels, count, stride in self.STAGES:
            for number in range(count):
                first = stride if number == 0 else 1
                layers.append(InvertedResidual(channels, out_channels, first, factor))
                channels = out_channels
        layers += [nn.Conv2d(channels, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(64, CLASSES)

    def forward(self, images: Any) -> Any:
        return self.classifier(self.features(images).mean((2, 3)))


class DenseBlock(nn.Module):
    """Layers that read everything before them, joined (Huang et al. 2017, figure 1), and a squeeze and excitation."""

    def __init__(self, growth: int = 4, count: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, growth, 3, 2, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(growth * number, growth, 3, 1, 1, bias=False), nn.BatchNorm2d(growth), nn.ReLU(inplace=True)
            )
            for number in range(1, count + 1)
        )  # fmt: skip
        channels = growth * (count + 1)
        self.squeeze = nn.Conv2d(channels, growth, 1)
        self.excite = nn.Conv2d(growth, channels, 1)
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, images: Any) -> Any:
        parts = [functional.relu(self.stem(images))]
        for layer in self.layers:
            parts.append(layer(torch.cat(parts, 1)))
        joined = torch.cat(parts, 1)
        pooled = functional.adaptive_avg_pool2d(joined, 1)
        scale = torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))))
        return self.fc((joined * scale).mean((2, 3)))


class Transformer(nn.Module):
    """Patches, an attention of several heads with its residual sum, and a hidden layer (Vaswani et al. 2017)."""

    def __init__(self, features: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, features, 4, 4)
        self.norm = nn.LayerNorm(features)
        self.attn = nn.MultiheadAttention(features, heads, batch_first=True)
        self.hidden = nn.Linear(features, 2 * features)
        self.out = nn.Linear(2 * features, features)
        self.fc = nn.Linear(features * 16, CLASSES)

    def forward(self, images: Any) -> Any:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        normed = self.norm(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        tokens = tokens + self.out(functional.relu(self.hidden(tokens)))
        return self.fc(tokens.flatten(1))


def make_batch(count: int, size: int, seed: int = 1) -> tuple[Any, Any]:
    """Make images and their classes, in float64, in which torch and numpy agree on every zero."""
    draws = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, size, size, generator=draws, dtype=torch.float64)
    return images, torch.randint(0, CLASSES, (count,), generator=draws)


def make_loss(labels: Any) -> Callable[[Any], Any]:
    """Give the loss of what a model gives out."""
    return lambda scores: functional.cross_entropy(scores, labels)


def train(model: nn.Module, size: int, batches: int = 3) -> nn.Module:
    """Make a model float64 and train it for some batches, so that its weights are not those of the start."""
    model.double().train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for number in range(batches):
        images, labels = make_batch(4, size, 100 + number)
        optimiser.zero_grad()
        make_loss(labels)(model(images)).backward()
        optimiser.step()
    return model


def make_model(name: str) -> tuple[nn.Module, int]:
    """Make a trained model, and the size of its images."""
    torch.manual_seed(7)
    makers: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "small": (SmallCnn, 16),
        "resnet18": (ResNet18, 16),
        "mobilenetv2": (MobileNetV2, 16),
        "dense": (DenseBlock, 16),
        "transformer": (Transformer, 16),
    }
    make, size = makers[name]
    return train(make(), size), size
