"""Values that are to be replaced wherever they occur, and their placeholders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

#: Shorter values are replaced only where they are a whole string, since they are a part of many others.
MIN_PART = 3
#: Shorter values are replaced only where they are whole words.
_MIN_INSIDE_WORDS = 8


class KnownValues:
    """Values by text. They are added first, then found: `freeze` ends the first phase."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        #: Values that are replaced in all places.
        self._everywhere: set[str] = set()
        #: By the first characters of values: their lengths, longest first.
        self._lengths: dict[str, list[int]] = {}
        self._names: dict[str, str] = {}
        #: Number of the last placeholder, by kind.
        self.numbers: Counter[str] = Counter()
        self._reserved = 0

    def add(self, value: str, kind: str, *, everywhere: bool) -> None:
        """Add a value. Its kind is that with which it was added first."""
        self._kinds.setdefault(value, kind)
        if everywhere:
            self._everywhere.add(value)

    def reserve(self, number: int) -> None:
        """Leave out the numbers of placeholders up to this one: texts have them already."""
        self._reserved = max(self._reserved, number)

    def freeze(self) -> None:
        """Prepare to find values."""
        lengths: dict[str, set[int]] = {}
        for value in self._everywhere:
            if len(value) >= MIN_PART:
                lengths.setdefault(value[:MIN_PART], set()).add(len(value))
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}

    def has(self, value: str) -> bool:
        """Whether a value is to be replaced wherever it is a whole string."""
        return value in self._everywhere

    def kind(self, value: str, kind: str) -> str:
        """Return the kind of a value; `kind` if it was not added."""
        return self._kinds.get(value, kind)

    def name(self, value: str, kind: str) -> str:
        """Return the placeholder of a value. They are numbered in the order in which they are asked for."""
        found = self._names.get(value)
        if found is None:
            kind = self.kind(value, kind)
            self.numbers[kind] += 1
            number = self._reserved + self.numbers[kind]
            # a placeholder of a session's id has to be one, too
            found = f"sess_redacted_{number}" if kind == "session" else f"<{kind}-{number}>"
            self._names[value] = found
        return found

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of values in a text: start and end, the longest at each place; places may overlap."""
        if not self._lengths:
            return
        lengths = self._lengths
        for start in range(len(text) - MIN_PART + 1):
            for length in lengths.get(text[start : start + MIN_PART], ()):
                value = text[start : start + length]
                end = start + len(value)
                if value in self._everywhere and _is_separate(text, start, end, value):
                    yield start, end
                    break


def _is_separate(text: str, start: int, end: int, value: str) -> bool:
    """Whether a value stands by itself, if it is short or a number."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if value.isdecimal():
        return not before.isdecimal() and not after.isdecimal()
    return len(value) >= _MIN_INSIDE_WORDS or not (_is_word(before) or _is_word(after))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
