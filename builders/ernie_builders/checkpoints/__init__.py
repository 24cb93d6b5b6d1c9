"""Weights on disk: formats, checksums, base models, and the compact form that ships."""
