"""Text in, answers out: the code that builders and Triton backends share. Needs only numpy and tokenizers."""
