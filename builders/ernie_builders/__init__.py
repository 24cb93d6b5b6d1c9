"""Train, compress, export and publish ERNIE tasks; everything here runs offline."""
