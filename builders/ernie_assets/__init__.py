"""Data only: the encoder, checkpoints, samples, labels and vocabularies that ship."""
