"""Text in, answers out: the code that builders, Triton backends and tests share. Needs numpy and tokenizers only."""
