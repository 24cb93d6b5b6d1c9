"""Engines that the Python side can run an encoder with; each module imports its engine when it is used."""
