"""Operators of ONNX in the layers of a workload, a file a family."""
