"""Paddle models and ONNX graphs: heads, layers, pruning, what fits what."""
