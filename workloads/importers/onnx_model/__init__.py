"""ONNX models: constants and shapes are folded, patterns are found again, each operator becomes layers."""
