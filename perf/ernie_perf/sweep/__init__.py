"""Sweeps: a served repository measured with perf_analyzer, every answer checked."""
