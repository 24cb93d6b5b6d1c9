"""Text for pre-training: from files to a stream of token ids."""
