"""A network in which gradients are pruned behind a batch norm, behind masks, and where branches meet."""

from __future__ import annotations

NETWORK = """
name: small
batch: 2
input: {channels: 1, height: 28, width: 28}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, stride: 3, bias: false}
  - {name: norm1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu2, type: relu}
  - {name: conv3, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: add, type: add, inputs: [conv3, relu2]}
  - {name: relu3, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: host, dataset: fashion_mnist, seed: 1, images: {mean: 0.2860, std: 0.3530}}
"""
