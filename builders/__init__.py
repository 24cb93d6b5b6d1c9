"""From labelled text to a published task; one module a stage."""
