"""Sequence-pair classification, the building side: the head, loss and metric of sequence classification."""

from __future__ import annotations

from .sequence_classification import SequenceClassificationBuilder

KIND = SequenceClassificationBuilder()
