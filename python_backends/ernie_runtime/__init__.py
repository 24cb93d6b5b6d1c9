"""Text in, answers out: what builders, Triton backends and tests share. Needs numpy and tokenizers only."""
