"""The command `ernie-triton perf`: sweep, report, compare, plan, overload, growth, gateway."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from ernie_runtime.command_line import did_you_mean

VERBS = {  # name: (module of this package, help)
    "sweep": ("sweep.cli", "measure a served repository with perf_analyzer"),
    "report": ("report.cli", "write a recorded run as one HTML page and as Markdown"),
    "compare": ("report.compare", "is one run slower than another, by more than noise?"),
    "plan": ("report.plan", "how many machines for a rate and a latency"),
    "overload": ("stress.overload", "send more requests than the server can take: who is answered, who is refused"),
    "growth": ("stress.growth", "cost per token as texts grow longer and callers more, with and without the server"),
    "gateway": ("stress.gateway", "what the REST gateway costs beside gRPC, for one caller and for many"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: those of the verb; 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        lines = [f"  {name:<9}{text}" for name, (_, text) in VERBS.items()]
        text = "\n".join(["usage: ernie-triton perf COMMAND ...", "", *lines, ""])
        (sys.stdout if words else sys.stderr).write(text)
        return 0 if words else 2
    if words[0] not in VERBS:
        hint = did_you_mean(words[0], VERBS) or f"; there are {', '.join(VERBS)}"
        sys.stderr.write(f"ernie-triton perf: no command {words[0]!r}{hint}\n")
        return 2
    code: int = importlib.import_module(f"{__package__}.{VERBS[words[0]][0]}").main(words[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
