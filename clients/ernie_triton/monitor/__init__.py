"""What a server does, read from its metrics."""
