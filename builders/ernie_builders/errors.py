"""What can go wrong while building.

BuildError
├── ConfigError       tasks.toml or the command line asks for something that does not exist or makes no sense
├── DataError         a data file is missing or malformed (file, line, what was expected)
├── CheckpointError   a base model or checkpoint cannot be used
├── ExportError       the exported graph is wrong, or differs from the framework
└── PublishError      the repository cannot be written
"""


class BuildError(Exception):
    """Base of the builder's errors; the message is one line for a person."""


class ConfigError(BuildError):
    """tasks.toml or the command line asks for something that does not exist or makes no sense."""


class DataError(BuildError):
    """A data file is missing or malformed."""


class CheckpointError(BuildError):
    """A base model or checkpoint cannot be used."""


class ExportError(BuildError):
    """The exported graph is wrong, or differs from the framework."""


class PublishError(BuildError):
    """The repository cannot be written."""
