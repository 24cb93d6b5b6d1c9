"""The first steps of a user: `ernie-triton init` from labelled text, `publish` from a checkpoint."""
