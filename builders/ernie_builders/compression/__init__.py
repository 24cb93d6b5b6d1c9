"""Smaller and faster variants: quantization, vocabulary pruning, measurement, the accuracy gate."""
