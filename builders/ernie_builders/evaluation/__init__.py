"""`ernie-triton evaluate`: score a published task on any labelled file."""
