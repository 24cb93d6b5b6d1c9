"""Distillation from plain text: a fine-tuned teacher into a small task model, an encoder into smaller encoders.

Not to be mixed up with training/distiller.py, which compresses a task's model on its own training rows.
"""
