"""What the gateway answers, an address or two a module."""
