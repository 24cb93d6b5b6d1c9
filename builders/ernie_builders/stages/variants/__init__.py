"""The stages that make, measure and gate a task's variants."""
