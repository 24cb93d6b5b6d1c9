"""What recorded runs say: tables, plots, comparisons, capacity plans."""
