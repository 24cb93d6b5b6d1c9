"""What can go wrong while measuring.

PerfError
├── TargetError     the server cannot be asked, or perf_analyzer cannot measure it
├── AnswerError     the server answers otherwise than the same task in this process
└── RunError        a recorded run is missing, malformed, or of another sweep
"""


class PerfError(Exception):
    """Base of this package's errors; the message is one line for a person."""


class TargetError(PerfError):
    """The server cannot be asked, or perf_analyzer cannot measure it."""


class AnswerError(PerfError):
    """The server answers otherwise than the same task in this process."""


class RunError(PerfError):
    """A recorded run is missing, malformed, or of another sweep."""
