"""Measures a served model repository with NVIDIA's perf_analyzer, and reads the recorded runs."""
