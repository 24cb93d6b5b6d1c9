"""What a reader did not take from a file exactly as it is written: counted, with its first lines."""

from __future__ import annotations

from collections.abc import Iterator

SHOWN_LINES = 3


class Report:
    """Repairs and omissions while one file was read. Nothing is repaired or left out without being added here."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}
        self._counts: dict[str, int] = {}

    def add(self, what: str, line: int = 0) -> None:
        """Count a repair; what: plural, such as "answers moved to where their text is". line: 0 for the whole file."""
        self._counts[what] = self._counts.get(what, 0) + 1
        lines = self._lines.setdefault(what, [])
        if line and line not in lines and len(lines) < SHOWN_LINES:
            lines.append(line)

    def __iter__(self) -> Iterator[str]:
        """One line per kind of repair: how many, what, and the first lines."""
        for what, count in self._counts.items():
            lines = self._lines[what]
            if not lines:
                yield what
                continue
            more = ", ..." if count > len(lines) else ""
            yield f"{count:,} {what} (line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}{more})"
