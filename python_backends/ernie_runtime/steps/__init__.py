"""The three steps (tokenize, encode, postprocess), alone and in one process."""
