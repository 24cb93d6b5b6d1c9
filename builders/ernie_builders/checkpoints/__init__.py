"""Models on disk: configurations, weights, vocabularies, checksums, base models, and the compact form that ships."""
