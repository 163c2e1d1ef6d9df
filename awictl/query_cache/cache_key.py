"""The cache key of a query: the MD5 hash of its JSON as JavaScript's JSON.stringify prints it.

`md5(JSON.stringify(filters || {}) + ":" + JSON.stringify(sort || {}))` is the app's rule (DESIGN, section 2). The order
of the keys matters: the same filters in another order have another cache key, the usual reason for a cache miss.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

from ..errors import InvalidData

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPED = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


def cache_key(filters: Any = None, sort: Any = None) -> str:
    """Return the key, 32 hex digits. Both arguments are JSON values; falsy ones count as `{}`, as in JavaScript.

    Raises InvalidData if they are nested too deeply to compute it.
    """
    try:
        text = f"{stringify(_or_empty(filters))}:{stringify(_or_empty(sort))}"
    except RecursionError:
        raise InvalidData("the query is nested too deeply to compute its cache key") from None
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _or_empty(value: Any) -> Any:
    # JavaScript's `value || {}`: unlike in Python, empty arrays and objects are true
    return value if value or isinstance(value, (dict, list)) else {}


def stringify(value: Any) -> str:
    """Serialize a JSON value as JavaScript's `JSON.stringify(JSON.parse(…))` does, byte for byte."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(_escape, value)}"'
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, list):
        return f"[{','.join(map(stringify, value))}]"
    return "{" + ",".join(f"{stringify(key)}:{stringify(value[key])}" for key in _key_order(value)) + "}"


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _key_order(value: dict[str, Any]) -> list[str]:
    # ECMA-262, OrdinaryOwnPropertyKeys: array indices in ascending order, then other keys in insertion order
    indices = [key for key in value if _ARRAY_INDEX.fullmatch(key) and int(key) < 2**32 - 1]
    first = dict.fromkeys(sorted(indices, key=int))
    return [*first, *(key for key in value if key not in first)]


def _number(value: int | float) -> str:
    # ECMA-262, Number::toString: the shortest digits (as in Python's repr); no exponent from 1e-7 up to 1e21
    try:
        number = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(number):
        return "null"
    if number == 0:
        return "0"
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # the value is 0.DIGITS × 10^point
    point = len(whole.lstrip("0")) + int(exponent or 0)
    if whole == "0":
        point -= len(fraction) - len(fraction.lstrip("0"))
    digits = digits.rstrip("0")
    sign = "-" if number < 0 else ""
    if 0 < point <= 21:
        plain = digits.ljust(point, "0")
        return sign + plain[:point] + ("." + plain[point:] if len(plain) > point else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    head = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{head}e{point - 1:+d}"
