"""The Triton model repository: configurations, calibration, warm-up, staging, versions, comparison."""
