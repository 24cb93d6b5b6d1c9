"""Figures of quality, computed from predictions and labels; thresholds fitted to them."""
