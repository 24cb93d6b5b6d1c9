"""Distillation over plain text: of a fine-tuned teacher into a small task model, of an encoder into smaller encoders.

training/distiller.py is another thing: it compresses a task's model on the task's own training rows.
"""
