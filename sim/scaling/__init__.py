"""Data parallel training on several chips, from one chip's simulated share of the batch."""
