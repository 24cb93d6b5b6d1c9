"""Text in: tokenization, windows, word boundaries, tag sequences."""
