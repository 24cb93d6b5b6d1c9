"""Prediction from files: resumable, in order, bad lines aside."""
