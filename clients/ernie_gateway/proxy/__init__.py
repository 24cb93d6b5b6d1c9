"""gRPC for callers who are not trusted: a thin proxy before Triton that lets tasks be asked, and nothing else."""
