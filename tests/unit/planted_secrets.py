"""Secrets in many encodings, planted in sessions, and what is left of them."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from awictl.document.merge import merge

#: Encodings that a secret is found in.
ENCODED: list[Callable[[str], str]] = [
    quote,
    lambda one: quote(quote(one)),
    lambda one: "".join(f"%{byte:02x}" for byte in one.encode()),
    lambda one: json.dumps({"a": one}),
    lambda one: json.dumps(json.dumps([one])),
    lambda one: "".join(f"\\u{ord(c):04x}" for c in one),
    lambda one: base64.b64encode(f"user: {one}".encode()).decode(),
    lambda one: base64.urlsafe_b64encode(f"ä?>~ {one}".encode()).decode().rstrip("="),
    lambda one: "data/" + base64.b64encode(base64.b64encode(f"{one} {one}".encode())).decode(),
    lambda one: "".join(f"&#{ord(c)};" for c in one),
    lambda one: html.escape(f"<{one}>"),
]


def decoded_texts(one: str) -> Iterator[str]:
    """What the Base64 in a text stands for."""
    for token in re.findall(r"[\w+/=-]{8,}", one):
        for part in (token, token.split("/")[-1]):
            try:
                inner = base64.b64decode(part.replace("-", "+").replace("_", "/") + "==").decode()
            except ValueError:
                continue
            yield inner
            yield from decoded_texts(inner)


def all_strings(value: Any) -> Iterator[str]:
    """All strings and numbers in a value, keys included."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from all_strings(one)
    elif value is not None:
        yield str(value)


class Planter:
    """Plants secrets in a session, at random places and in random encodings."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        #: What was planted, as it is in the file, and the secret in it.
        self.planted: list[tuple[str, str]] = []

    def word(self, length: int = 12) -> str:
        return "Q7" + "".join(self.chance.choices(string.ascii_letters + string.digits, k=length))

    def card(self) -> str:
        digits = "4" + "".join(self.chance.choices(string.digits, k=14))
        doubled = sum(sum(divmod(2 * int(one), 10)) for one in digits[::-2])
        return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)

    def secret(self) -> tuple[str, str]:
        """A secret, and a text with it."""
        word = self.word()
        kinds = [
            (f"{word}@mail.example", f"{word}@mail.example"),
            (word, f"Bearer {word}"),
            (f"sk-{word}{word}", f"sk-{word}{word}"),
            (card := self.card(), card),
            (card, " ".join(re.findall("....", card))),
            (word, f"https://x.example/?token={word}"),
            (basic := base64.b64encode(f"u:{word}".encode()).decode(), f"Basic {basic}"),
            (jwt := f"eyJ{word}.eyJ{word}.{word}", jwt),
        ]
        return self.chance.choice(kinds)

    def text(self) -> str:
        """A text with a secret, in some encoding."""
        secret, text = self.secret()
        text = f"{self.chance.choice(['', 'see ', 'é: ', '(a) '])}{text}{self.chance.choice(['', ' ok', ', and'])}"
        encode = [
            *[lambda one: one] * 3,
            *ENCODED,
            lambda one: f"https://y.example/?next={quote_plus(one)}&a=1",
            lambda one: f"x={base64.b64encode(json.dumps({'a': one}).encode()).decode()}",
        ]
        encoded = self.chance.choice(encode)(text)
        self.planted.append((encoded, secret))
        return encoded

    def value(self, depth: int) -> Any:
        """A value with a secret at its bottom."""
        if depth == 0:
            if self.chance.random() < 0.05:
                card = self.card()
                self.planted.append((card, card))
                return int(card)
            return self.text()
        inner = self.value(depth - 1)
        kind = self.chance.randrange(4)
        if kind == 0:
            return [1, inner]
        return {"k": inner, "n": 1} if kind < 3 else {self.text(): None, "k": inner}

    def session(self, count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A session with at least so many secrets: its head, and the records of its actions."""
        head: dict[str, Any] = {"session_id": "sess_1", "agent_name": self.text(), "page_state": {}}
        actions = []
        while len(self.planted) < count:
            place = self.chance.choice(["input", "delta", "observation"])
            value: Any = {f"f{self.chance.randrange(9)}": self.value(self.chance.randrange(12))}
            if place == "delta":
                head = merge(head, {"page_state": value})
                value = {"page_state": value}
            actions.append({"t": len(actions), "action": "x", place: value if place != "observation" else self.text()})
        return head, actions

    def left_in(self, value: Any) -> list[tuple[str, str]]:
        """The secrets that are left in a redacted value, also where it is encoded."""
        strings = list(all_strings(value))
        everything = "\n".join([*strings, *(inner for one in strings for inner in decoded_texts(one))])
        return [one for one in self.planted if one[0] in everything or one[1] in everything]
