"""What a file or folder of labelled text is: its format, columns, kind of task, labels, lengths, and the reasons."""

from .sniffed import Lengths, Sniffed, SniffedFile
from .sniffing import sniff

__all__ = ["Lengths", "Sniffed", "SniffedFile", "sniff"]
