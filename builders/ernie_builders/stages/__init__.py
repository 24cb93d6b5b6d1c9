"""The stages of a build: reading data, fine-tuning, exporting, evaluating, publishing, and making variants.

`stage` runs one and keeps its result, `order` says which run for a task, `request` what a build was asked to do.
"""
