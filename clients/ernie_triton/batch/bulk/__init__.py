"""Prediction from many files into a folder, part by part: in this process, in several, or on a Ray cluster."""
