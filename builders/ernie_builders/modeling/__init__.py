"""Paddle models and ONNX graphs: building, pruning, faster layers, and whether weights fit a task."""
