"""The texts that a string contains in encoded form: URL-encoded, in JSON, in HTML, in Base64, and one in another.

A `TextView` is a decoded form of the string in which each position is known in the original, so that a part of the
original can be replaced, and the rest stays as it is.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

#: How often a text may be encoded.
MAX_DEPTH = 4
#: Text that may be Base64, in either alphabet.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}+={0,2}")
_STANDARD = str.maketrans("-_", "+/")
_URL_SAFE = str.maketrans("+/", "-_")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r'\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]')
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _percent(found: str) -> Iterator[tuple[str, int]]:
    decoded = bytes.fromhex(found.replace("%", "")).decode("utf-8", "surrogateescape")
    for one in decoded:
        yield one, 3 * len(one.encode("utf-8", "surrogateescape"))


def _escape(found: str) -> Iterator[tuple[str, int]]:
    if found[1] == "u":
        units = bytes.fromhex(found.replace("\\u", ""))
        yield units.decode("utf-16-be", "surrogatepass"), len(found)
    else:
        yield _SHORT_ESCAPES.get(found[1], found[1]), len(found)


def _entity(found: str) -> Iterator[tuple[str, int]]:
    decoded = html.unescape(found)
    if not decoded and (code := int(found[3:-1], 16) if found[2] in "xX" else int(found[2:-1])):
        decoded = chr(code)  # a control character, which HTML does not allow
    yield (decoded, len(found)) if len(decoded) == 1 else (found[0], 1)
    if len(decoded) != 1:
        yield from ((one, 1) for one in found[1:])


class _Encoding(NamedTuple):
    """How characters are encoded in a text."""

    #: A character without which a text is not encoded.
    mark: str
    regex: re.Pattern[str]
    #: The characters that a match stands for, each with its length in the encoded text.
    decode: Callable[[str], Iterator[tuple[str, int]]]
    encode: Callable[[str], str]


_ENCODINGS = (
    _Encoding("%", _PERCENT, _percent, lambda text: quote(text, safe="")),
    _Encoding("\\", _ESCAPE, _escape, lambda text: text.replace("\\", "\\\\").replace('"', '\\"')),
    _Encoding("&", _ENTITY, _entity, html.escape),
)


class TextView(NamedTuple):
    """A decoded form of a text."""

    text: str
    #: The place of each character in the original, and its length; None if they are the same.
    places: list[int] | None = None
    #: Encodes a text that is put into the original, the first one last.
    encoders: tuple[Callable[[str], str], ...] = ()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the place in the original."""
        return (start, end) if self.places is None else (self.places[start], self.places[end])

    def encoded(self, text: str) -> str:
        """Encode a text as the original is encoded."""
        for encode in reversed(self.encoders):
            text = encode(text)
        return text


def views_of(text: str) -> Iterator[TextView]:
    """Yield the text itself, and all its decoded forms."""
    pending = [TextView(text)]
    known = {text}
    for _ in range(MAX_DEPTH):
        following: list[TextView] = []
        for view in pending:
            yield view
            for decoded in _decoded(view):
                if decoded.text not in known:
                    known.add(decoded.text)
                    following.append(decoded)
        pending = following
    yield from pending


def _decoded(view: TextView) -> Iterator[TextView]:
    for encoding in _ENCODINGS:
        if encoding.mark in view.text and (decoded := _decode(view, encoding)) is not None:
            yield decoded
            if encoding.mark == "%" and "+" in decoded.text:
                yield decoded._replace(text=decoded.text.replace("+", " "))
    if not view.encoders and "+" in view.text and "=" in view.text:  # a form without other encoded characters
        yield view._replace(text=view.text.replace("+", " "))


def _decode(view: TextView, encoding: _Encoding) -> TextView | None:
    """Decode a view; None if nothing in it is encoded like this."""
    parts: list[str] = []
    places: list[int] = []
    done = 0

    def keep(end: int) -> None:
        if done < end:
            parts.append(view.text[done:end])
            places.extend(range(done, end) if view.places is None else view.places[done:end])

    for found in encoding.regex.finditer(view.text):
        keep(found.start())
        at = found.start()
        for character, length in encoding.decode(found[0]):
            parts.append(character)
            places.append(at if view.places is None else view.places[at])
            at += length
        done = found.end()
    if not done:
        return None
    end = len(view.text)
    keep(end)
    places.append(end if view.places is None else view.places[end])
    return TextView("".join(parts), places, (*view.encoders, encoding.encode))


class Base64Text(NamedTuple):
    """A text in Base64 within another one."""

    start: int
    end: int
    text: str
    #: Encodes another text in the same alphabet.
    encode: Callable[[str], str]


def base64_texts(text: str) -> Iterator[Base64Text]:
    """Yield the parts that are Base64 of a text; binary data is left out."""
    for found in _BASE64.finditer(text):
        whole = _base64_text(found[0], found.start())
        if whole is not None:
            yield whole
        elif "/" in found[0]:  # a path
            at = found.start()
            for part in found[0].split("/"):
                if len(part) >= 8 and (one := _base64_text(part, at)) is not None:
                    yield one
                at += len(part) + 1


def _base64_text(token: str, start: int) -> Base64Text | None:
    body = token.rstrip("=")
    if len(body) % 4 == 1:
        return None
    try:
        text = binascii.a2b_base64(body.translate(_STANDARD) + "=" * (-len(body) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    if not all(part.isprintable() for part in text.split()):
        return None

    def encode(changed: str) -> str:
        encoded = base64.b64encode(changed.encode("utf-8", "surrogatepass")).decode()
        if "-" in token or "_" in token:
            encoded = encoded.translate(_URL_SAFE)
        return encoded if token.endswith("=") or len(body) % 4 == 0 else encoded.rstrip("=")

    return Base64Text(start, start + len(token), text, encode)


class TextPart(NamedTuple):
    """A part of a text to be replaced."""

    start: int
    end: int
    replacement: Callable[[], str]


def merged_parts(parts: list[TextPart]) -> Iterator[tuple[int, int, str]]:
    """Merge parts that overlap: the longest of them decides what replaces them all."""
    parts.sort(key=lambda one: (one.start, -one.end))
    merged: list[TextPart] = []
    end = 0
    for part in [*parts, None]:
        if part is not None and (not merged or part.start < end):
            merged.append(part)
            end = max(end, part.end)
            continue
        longest = max(merged, key=lambda one: one.end - one.start)
        yield merged[0].start, end, longest.replacement()
        if part is not None:
            merged, end = [part], part.end


def replaced(text: str, parts: Iterable[tuple[int, int, str]]) -> str:
    """Replace parts of a text: (start, end, replacement) in order, without overlaps."""
    found: list[str] = []
    done = 0
    for start, end, other in parts:
        found += [text[done:start], other]
        done = end
    return "".join([*found, text[done:]])
