"""What Triton's Python backend needs around the steps: models, admission control, metrics."""
