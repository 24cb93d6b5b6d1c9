"""What can go wrong while measuring.

PerfError
├── TargetError     the server does not answer, or perf_analyzer cannot measure it
├── AnswerError     the server's answers differ from the same task's answers in this process
├── RunError        a recorded run is missing, malformed, or of another sweep
└── PeerError       another server, or the whole comparison with other servers, cannot be measured
"""


class PerfError(Exception):
    """Base of this package's errors; the message is one line for a person."""


class TargetError(PerfError):
    """The server does not answer, or perf_analyzer cannot measure it."""


class AnswerError(PerfError):
    """The server's answers differ from the same task's answers in this process."""


class RunError(PerfError):
    """A recorded run is missing, malformed, or of another sweep."""


class PeerError(PerfError):
    """Another server, or the whole comparison with other servers, cannot be measured."""
