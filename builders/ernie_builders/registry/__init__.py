"""The checkpoints that ship: saved, kept, adopted, rebased."""
