"""Dev metrics and how thresholds are fitted."""
