"""Errors of the serving code.

ErnieError
├── InvalidItem       one text of a request cannot be answered (empty, not UTF-8, too long)
├── ManifestError     manifest.json is missing, malformed or contradicts itself
├── VocabularyError   a vocabulary or tokenizer file cannot be used
├── TextFileError     a file of text cannot be read: missing, packed wrongly, in another encoding
└── EngineError       a model file cannot be loaded or run
"""


class ErnieError(Exception):
    """Base of this package's errors; each message is one line for a person."""


class InvalidItem(ErnieError):
    """One text cannot be answered; the message is the reason, the caller adds the index of the item."""


class ManifestError(ErnieError):
    """manifest.json is missing, malformed or contradicts itself."""


class VocabularyError(ErnieError):
    """A vocabulary or tokenizer file cannot be used."""


class TextFileError(ErnieError):
    """A file of text cannot be read."""


class EngineError(ErnieError):
    """A model file cannot be loaded or run."""
