"""Published hyperparameters, and how they apply to a task."""
