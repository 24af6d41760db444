"""Labelled images: the subset of Fashion-MNIST that ships with the package, and files that users have."""

from workloads.datasets.dataset import Dataset
from workloads.datasets.loader import load_dataset
from workloads.datasets.splits import DatasetSplits

__all__ = ["Dataset", "DatasetSplits", "load_dataset"]
