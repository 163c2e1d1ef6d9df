"""Redact sessions: replace secrets by placeholders such as `<email-1>`, everywhere, and each value by the same one.

A redactor reads all that is to be redacted twice. First it learns the secrets (`learning`), then it replaces them: what
a pattern or a pointer found in one place is replaced in every other place, too, also within longer strings, keys, and
encoded texts (see `encoded_text`). A placeholder tells nothing of its value, which is kept in memory only.

What is replaced in a value depends on the value and its path alone: so the redacted deltas of a session still give its
redacted state. Identifiers of sessions and agents, timestamps and the numbers of actions stay, unless a pointer names
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from .encoded_text import MAX_DEPTH, TextPart, TextView, base64_texts, merged_parts, replaced, views_of
from .known_values import MIN_PART, KnownValues
from .patterns import find_secrets, looks_random
from .rules import ANY, FIXED_NAMES, FIXED_TEXTS, Redaction, Rules, parse_pointer
from .secret_names import is_secret_name, values_of_labels

#: Minimum length of a value of a secret field that is replaced in other places, too.
_MIN_SECRET = 8
#: The kinds of values that a pointer names, and of those whose field has the name of a secret.
VALUE, SECRET = "value", "secret"
#: The kind of card numbers, which are the same with and without spaces.
CARD = "card"
_NO_DIGITS = re.compile(r"\D")
#: Minimum number of digits of a number that is replaced because another place has the same one.
_MIN_DIGITS = 4
#: Smaller numbers stay if they count something (`_COUNTS`).
_MIN_LONG_NUMBER = 10**11
#: Kinds of values that may be plain words; then they stay in other places.
_WORDS = frozenset({"bearer", SECRET})
#: Minimum length of such a value, found in a text, that is replaced in other places, too.
_MIN_WORD = 4
#: A key that looks like the name of a field.
_FIELD_NAME = re.compile(r"[a-z]+(?:[A-Z_-][a-z]+)*")
#: Number of texts that are cached, and the maximum length of one in characters.
_KNOWN_TEXTS, _MAX_KNOWN = 20_000, 300
_PLACEHOLDER = re.compile(r"<[a-z-]{3,12}-([0-9]{1,9})>")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
#: The counts in `statistics`.
_COUNTS = ("total_actions", "successful_actions", "failed_actions")
_IDS = (("session_id",), ("agent_id",))


class Redactor:
    """Redacts what it is given: the same values in the same order, twice. It changes them in place.

    The first time, when it is `learning`, what it leaves of them is of no use.
    """

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        #: Whether values are only looked at, to learn the secrets in them.
        self.learning = True
        self._kinds = frozenset(redaction.patterns)
        self._finds_secrets = SECRET in self._kinds
        pointers = [parse_pointer(one) for one in redaction.pointers]
        self._hides_sessions = ("session_id",) in pointers
        self._hides_agents = ("agent_id",) in pointers
        records = [(one[2], one[3:]) for one in pointers if one[:2] == ("history", "actions")]
        records += [(ANY, one[2:]) for one in pointers if one[:2] == ("history", "last_action")]
        #: Rules for the records of actions: the ordinal, or ANY, and a pointer.
        self._records = [(index, rest) for index, rest in records if rest]
        self._state = Rules(
            tuple(one for one in pointers if one[0] != "history" and one not in _IDS),
            tuple(("statistics", name) for name in _COUNTS),
        )
        #: Rules for the record of any action.
        self._record_rules = Rules(kept=(("t",),)).plus(self._state.below("delta"))
        self._values = KnownValues()
        #: How often values were replaced, by kind.
        self._counts: Counter[str] = Counter()
        #: The kinds of values that were replaced since they were counted.
        self._replaced: list[str] = []
        #: Texts that were redacted lately, with the kinds of values in them: most texts occur often.
        self._known_texts: dict[str, tuple[str, list[str]]] = {}
        #: Keys that were replaced, and by what; and what is taken by another one.
        self._keys: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def learned(self) -> None:
        """Begin to replace: everything was looked at once."""
        self.learning = False
        self._known_texts.clear()
        self._values.freeze()

    def summary(self) -> dict[str, dict[str, int]]:
        """Return, for each kind of secret, the number of different values and how often they were replaced."""
        self._count()
        numbers = self._values.numbers
        return {kind: {"values": numbers[kind], "places": self._counts[kind]} for kind in sorted(numbers)}

    # -- the parts of a session

    def state(self, head: dict[str, Any], last: int) -> None:
        """Redact a session document without its trajectory. last: ordinal of its last action."""
        apart: dict[str, Any] = {name: head[name] for name in ("session_id", "agent_id", "history") if name in head}
        head.update(dict.fromkeys(apart))  # keeps their places
        self._container(head, self._state)
        history = apart.get("history")
        if isinstance(history, dict):
            action = history.get("last_action")
            if "last_action" in history:
                history["last_action"] = None
            self._container(history, Rules(kept=(("trimmed_actions",),)))
            if "last_action" in history:
                history["last_action"] = self.action(action, last)
        for name, value in (("session_id", self.session_id), ("agent_id", self.agent_id)):
            if name in apart:
                apart[name] = value(apart[name])
        head.update(apart)

    def action(self, record: Any, ordinal: int) -> Any:
        """Redact the record of an action. Returns it."""
        rules = self._record_rules
        if self._records:
            rules = rules.plus(Rules(tuple(rest for index, rest in self._records if index in (ANY, str(ordinal)))))
        t = record.get("t") if isinstance(record, dict) else None
        if not isinstance(record, dict):
            return self._value(record, rules)
        self._container(record, rules, merged=("delta",))
        if isinstance(t, int):
            record["t"] = t
        return record

    def last_delta(self, stored: Any, last: int) -> Any:
        """Redact the last delta of a session, as it is stored with its action. Returns it."""
        if not isinstance(stored, dict):
            return self._value(stored, Rules())
        return {
            self._key(name): self.action(value, last)
            if name == "action"
            else self._value(value, self._state if name == "delta" else Rules())
            for name, value in stored.items()
        }

    def pointers(self) -> list[str]:
        """Return the pointers without what is secret in them."""
        return [
            "".join("/" + self._key(one).replace("~", "~0").replace("/", "~1") for one in parse_pointer(pointer))
            for pointer in self.redaction.pointers
        ]

    def session_id(self, session_id: Any) -> Any:
        """Return the id of a session as it is, or its replacement if a pointer names it."""
        if not self._hides_sessions or not isinstance(session_id, str):
            return session_id
        return self._hidden(session_id, "session")

    def agent_id(self, agent_id: Any) -> Any:
        """Return the id of an agent as it is, or its replacement if a pointer names it."""
        return self._hidden(agent_id, "agent") if self._hides_agents and isinstance(agent_id, str) else agent_id

    # -- values

    def _value(self, value: Any, rules: Rules) -> Any:
        holder = [value]
        self._container(holder, rules.below("0"))
        return holder[0]

    def _container(
        self, container: dict[str, Any] | list[Any], rules: Rules, merged: Collection[str] | None = None
    ) -> None:
        """Redact all in an object or array, in place. Does not recurse: the app may nest values deeply.

        merged: the fields of the container that are merged with those of other objects; None: all of them.
        """
        pending: list[tuple[Any, Rules, str, bool]] = [(container, rules, "", True)]
        while pending:
            parent, rules, hidden, is_merged = pending.pop()
            named = isinstance(parent, dict)
            items: list[tuple[Any, Any]] = list(parent.items() if named else enumerate(parent))
            if named:
                parent.clear()
            inner = []
            labelled = self._labelled(items, named=named, is_merged=is_merged)
            for key, value in items:
                below = rules.at(str(key))
                kind = VALUE if () in below.hidden else hidden
                if not kind and (key in labelled or (named and self._finds_secrets and is_secret_name(key))):
                    kind = SECRET
                if isinstance(value, (dict, list)):
                    # arrays are replaced as a whole
                    part = (merged is None or key in merged) if parent is container else is_merged and named
                    inner.append((value, below, kind, part))
                    changed = value
                else:
                    changed = self._scalar(value, kind, is_count=() in below.kept)
                if named:
                    key = self._hidden_key(key) if hidden == VALUE else self._key(key)
                parent[key] = changed
            pending.extend(reversed(inner))  # placeholders are numbered in the order of the document

    def _labelled(self, items: list[tuple[Any, Any]], *, named: bool, is_merged: bool) -> Collection[Any]:
        """The keys of an object, or indexes of an array, with a secret that another value of it names."""
        if not self._finds_secrets:
            return ()
        if not named:
            is_pair = len(items) == 2 and all(isinstance(value, str) for _, value in items)
            return (1,) if is_pair and is_secret_name(items[0][1]) and looks_random(items[1][1]) else ()
        found = values_of_labels(items)
        if found and is_merged:
            # A delta may have the value without its name: so what replaces it must not depend on the name.
            for key, value in items:
                if self.learning and key in found and isinstance(value, str) and not _PLACEHOLDER.fullmatch(value):
                    self._hidden(value, SECRET)
            return ()
        return found

    def _scalar(self, value: Any, hidden: str, *, is_count: bool) -> Any:
        if value is None or value == "":
            return value
        if isinstance(value, bool):
            return self._hidden(value, hidden) if hidden == VALUE else value
        if isinstance(value, (int, float)):
            if hidden:
                return self._hidden(value, hidden)
            text = _text_of(value)
            if len(text) < _MIN_DIGITS or (is_count and abs(value) < _MIN_LONG_NUMBER):
                return value
            changed = self._text(text)
            return value if changed == text else changed
        if hidden and not _PLACEHOLDER.fullmatch(value):
            return self._hidden(value, hidden)
        return self._text(value)

    def _hidden(self, value: Any, kind: str) -> str:
        """Replace a whole value."""
        text = _text_of(value)
        if not self.learning:
            return self._placeholder(text, kind)
        self._text(text)  # a secret that is a part of it may be in other places without the rest
        everywhere = not isinstance(value, bool)
        if kind == SECRET:
            everywhere = len(text) >= _MIN_SECRET and looks_random(text)
        self._values.add(text, kind, everywhere=everywhere)
        return text

    def _key(self, key: str) -> str:
        """Redact a key. Different keys stay different."""
        if key in FIXED_NAMES:
            return key
        changed = self._text(key)
        if changed == key or self.learning:
            return key
        if key not in self._keys:
            while self._taken.setdefault(changed, key) != key:
                changed += "'"
            self._keys[key] = changed
        return self._keys[key]

    def _hidden_key(self, key: str) -> str:
        """Replace a key in an object that a pointer names. One that looks like the name of a field stays elsewhere."""
        if self.learning:
            self._text(key)
        if not key or key in FIXED_NAMES or _PLACEHOLDER.fullmatch(key):
            return key
        if not self.learning:
            return self._placeholder(key, VALUE)
        if not _FIELD_NAME.fullmatch(key):
            self._values.add(key, VALUE, everywhere=True)
        return key

    def _text(self, text: str) -> str:
        """Redact a string."""
        known = self._known_texts.get(text)
        if known is None:
            before = len(self._replaced)
            changed = self._decoded(text, 0)
            known = changed, self._replaced[before:]
            if len(text) <= _MAX_KNOWN:
                if len(self._known_texts) >= _KNOWN_TEXTS:
                    self._known_texts.clear()
                self._known_texts[text] = known
        else:
            self._replaced += known[1]
        if len(self._replaced) > _KNOWN_TEXTS:
            self._count()
        return known[0]

    def _decoded(self, text: str, depth: int) -> str:
        """Redact what a string contains, in all its decoded forms."""
        if len(text) < MIN_PART:
            return self._placeholder(text, VALUE) if not self.learning and self._values.has(text) else text
        if text in FIXED_TEXTS or _TIMESTAMP.fullmatch(text):
            return text
        parts: list[TextPart] = []
        for view in views_of(text):
            parts += self._parts(view, depth)
        return replaced(text, merged_parts(parts)) if parts else text

    def _parts(self, view: TextView, depth: int) -> Iterator[TextPart]:
        """The parts to be replaced of a text, as one of its decoded forms has them."""

        def of(value: str, kind: str) -> Callable[[], str]:
            return lambda: view.encoded(self._placeholder(value, kind))

        if self.learning:
            for found in _PLACEHOLDER.finditer(view.text):
                self._values.reserve(int(found[1]))
        for start, end, kind in find_secrets(view.text, self._kinds):
            value = view.text[start:end]
            if kind == CARD:
                value = _NO_DIGITS.sub("", value)
            if _PLACEHOLDER.fullmatch(value):
                continue
            if self.learning:
                everywhere = kind not in _WORDS or (len(value) >= _MIN_WORD and looks_random(value))
                self._values.add(value, kind, everywhere=everywhere)
            yield TextPart(*view.span(start, end), of(value, kind))
        if not self.learning:
            for start, end in self._values.find(view.text):
                yield TextPart(*view.span(start, end), of(view.text[start:end], VALUE))
        if depth < MAX_DEPTH:
            for inner in base64_texts(view.text):
                changed = self._decoded(inner.text, depth + 1)
                if changed != inner.text:
                    encoded = view.encoded(inner.encode(changed))
                    yield TextPart(*view.span(inner.start, inner.end), partial(str, encoded))

    def _placeholder(self, value: str, kind: str) -> str:
        if self.learning:
            return ""
        self._replaced.append(self._values.kind(value, kind))
        return self._values.name(value, kind)

    def _count(self) -> None:
        self._counts.update(self._replaced)
        self._replaced.clear()


def _text_of(value: Any) -> str:
    """A scalar as text; a number as JSON has it, but without a fraction of zero."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**64:
        return str(int(value))
    return str(value)
