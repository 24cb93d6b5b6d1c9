"""What the readers share: lines, rows of tables, labelled spans, and the report of what was not taken as it is."""
