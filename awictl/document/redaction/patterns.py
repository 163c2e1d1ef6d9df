"""Patterns of personal data and secrets in a text: e-mail addresses, tokens, keys, card numbers, passwords.

All regular expressions take linear time: a session may contain any text. Libraries were considered: detect-secrets,
which finds secrets in the lines of source files, knows neither e-mail addresses nor card numbers, and Presidio needs
spaCy and fifty packages.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .secret_names import has_stem, named_secrets

#: Minimum and maximum number of digits of a card number.
_CARD_DIGITS = range(12, 20)
#: Numbers of cards by issuer: Visa, Mastercard, American Express, Diners Club, JCB, UnionPay, Discover, Maestro.
_ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}|6(?:011|5\d\d|4[4-9]\d)\d{12}"
    r"|(?:50|5[6-9]|6\d)\d{10,17}"
)
_DIGITS = re.compile(r"(?<!\d)(?<!\d\.)\d(?:[ \u00a0-]?\d){11,}(?!\.?\d)")
#: Text that is an id in hexadecimal digits, and not a number.
_HEX_ID = re.compile(r"(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{24,}")
_WORD = re.compile(r"[0-9A-Za-z]*")
_NUMBER_GROUP = re.compile(r"\d+")
#: Minimum length of a token of one word; a shorter one, or one without digits and capital letters, may be a plain word.
_LONG_WORD = 20


class FoundSecret(NamedTuple):
    """A secret in a text."""

    start: int
    end: int
    #: The name of its pattern.
    kind: str


class _Pattern(NamedTuple):
    kind: str
    #: A text in lower case without which the pattern cannot match; "" if there is none.
    needs: str
    #: The secret is the group that matches, or else the whole match.
    regex: re.Pattern[str]
    #: Whether a secret is one; None: each is.
    check: Callable[[str], bool] | None = None


def looks_random(text: str) -> bool:
    """Whether a text looks like a token, and not like a word."""
    mixed = text.lower() != text and text.upper() != text and not text.istitle()
    return len(text) >= _LONG_WORD or mixed or any(one.isdecimal() for one in text)


def _is_basic(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _is_luhn(digits: str) -> bool:
    """Whether the check digit of a card number is right."""
    doubled = [sum(divmod(2 * int(one), 10)) for one in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


_PATTERNS = (
    _Pattern(
        "private-key",
        "private key-----",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:(?!-----)[\s\S])*+(?:-----END [A-Z0-9 ]{0,40}KEY-----)?"
        ),
    ),
    _Pattern("jwt", "eyj", re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+\.[\w-]*+")),
    _Pattern(
        "bearer",
        "bearer",
        re.compile(r"\bbearer(?:\s++|\s*+[:=]\s*+)([A-Za-z0-9._~+/-]{6,}+=*+)", re.IGNORECASE),
        looks_random,
    ),
    _Pattern(
        "bearer",
        "bearer",
        re.compile(r"\b(?:Bearer|BEARER)(?:\s++|\s*+[:=]\s*+)([A-Za-z0-9._~+/-]{8,}+=*+)"),
    ),
    _Pattern("basic", "basic", re.compile(r"\bbasic\s++([A-Za-z0-9+/]{4,}+={0,2})", re.IGNORECASE), _is_basic),
    _Pattern("awi-key", "agent_", re.compile(r"agent_[0-9A-Fa-f]{32,}+")),
    _Pattern(
        "api-key",
        "",
        re.compile(
            r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}+|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+"
            r"|xox[abeoprs]-[\w-]{10,}+|A(?:KIA|SIA|IDA|ROA)[A-Z0-9]{16}(?![A-Za-z0-9])|AIza[\w-]{30,}+|ya29\.[\w-]{20,}+"
            r"|glpat-[\w-]{16,}+|npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{30,}+|hf_[A-Za-z0-9]{20,}+|dop_v1_[a-f0-9]{32,}+"
            r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})"
        ),
    ),
    _Pattern("secret", "://", re.compile(r"://[^\s/?#@:\"'<>]*+:([^\s/?#@\"'<>]++)@")),
    _Pattern(  # an option of curl
        "secret",
        "curl",
        re.compile(
            r"(?<!\S)(?:-u|-U|--user|--proxy-user)[ \t=]*+"
            r"(?:\"[^\s\":]{0,200}+:([^\"]+)\"|'[^\s':]{0,200}+:([^']+)'|[^\s\"':/]{0,200}+:([^\s\"'<>]{3,}+))"
        ),
    ),
    _Pattern(
        "email",
        "@",
        re.compile(r"(?<![\w.!#$*^~+-])[\w.!#$*^~+-]++@[\w-]++(?:\.[\w-]++)++"),
    ),
)

#: The names of all patterns, as `--redact` takes them.
PATTERN_NAMES = ("email", "bearer", "basic", "jwt", "api-key", "awi-key", "card", "private-key", "secret")


def find_secrets(text: str, kinds: Iterable[str]) -> Iterator[FoundSecret]:
    """Yield the secrets of these kinds in a text; they may overlap."""
    lower = text.lower() if text.isascii() else text.casefold()
    if "secret" in kinds and has_stem(lower):
        for start, end in named_secrets(text):
            yield FoundSecret(start, end, "secret")
    for pattern in _PATTERNS:
        if pattern.kind in kinds and pattern.needs in lower:
            for found in pattern.regex.finditer(text):
                group = found.lastindex or 0
                if pattern.check is None or pattern.check(found[group]):
                    yield FoundSecret(*found.span(group), pattern.kind)
    if "card" in kinds:
        for run in _DIGITS.finditer(text):
            yield from (one for one in _cards(run[0], run.start()) if not _is_hex_id(text, one))


def _is_hex_id(text: str, found: FoundSecret) -> bool:
    """Whether digits are a part of an id in hexadecimal digits."""
    before = _WORD.match(text[max(found.start - 64, 0) : found.start][::-1])
    after = _WORD.match(text, found.end, found.end + 64)
    word = (before[0][::-1] if before else "") + text[found.start : found.end] + (after[0] if after else "")
    return _HEX_ID.fullmatch(word) is not None


def _cards(run: str, offset: int) -> Iterator[FoundSecret]:
    """Yield the card numbers in groups of digits, at the borders of groups."""
    groups = [one.span() for one in _NUMBER_GROUP.finditer(run)]
    first = 0
    while first < len(groups):
        found = None
        digits = ""
        for last in range(first, len(groups)):
            digits += run[slice(*groups[last])]
            if len(digits) >= _CARD_DIGITS.stop:
                break
            if len(digits) in _CARD_DIGITS and _ISSUER.fullmatch(digits) and _is_luhn(digits):
                found = last
        if found is None:
            first += 1
        else:
            yield FoundSecret(offset + groups[first][0], offset + groups[found][1], "card")
            first = found + 1
