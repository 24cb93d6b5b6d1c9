"""Beyond a steady load: overload, and growth in length and callers."""
