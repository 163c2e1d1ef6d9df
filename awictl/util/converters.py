"""Convert text, and values from TOML, to bool, int, float and str.

Each converter raises ValueError with a message that completes `NAME: VALUE …` and does not repeat the value, which may
be a secret. `msgspec.convert` does not serve here: it rejects `yes`, `on`, ` 7 ` and a number as a password, and its
messages name types ("Expected `int`, got `str`"), not what to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: Integers and numbers of settings are limited to what a double represents exactly.
_MAXIMUM = 2**53
#: An origin as browsers send it: scheme, host and, unless it is the scheme's default, port.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def text(value: Any) -> str:
    """Convert a string or a number to a string."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is not text")
    return str(value)


def boolean(value: Any) -> bool:
    """Convert `1`, `true`, `yes` and `on`, `0`, `false`, `no`, `off` and empty text, in upper or lower case."""
    spelled = str(value).strip().lower()
    if spelled not in _TRUE | _FALSE:
        raise ValueError("is not true or false")
    return spelled in _TRUE


def integer(minimum: int, maximum: int = _MAXIMUM) -> Callable[[Any], int]:
    """Return a converter to integers from `minimum` to `maximum`."""

    def convert(value: Any) -> int:
        try:
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise ValueError
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("is not a whole number") from None
        _check_range(number, minimum, maximum)
        return number

    return convert


def number(minimum: float) -> Callable[[Any], float]:
    """Return a converter to finite numbers of at least `minimum`."""

    def convert(value: Any) -> float:
        try:
            found = float("nan" if isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            found = float("nan")
        if found != found:
            raise ValueError("is not a number")
        _check_range(found, minimum, _MAXIMUM)
        return found

    return convert


def origins(value: Any) -> str:
    """Convert origins of web pages, in a list or separated by commas, to those that browsers send, separated by commas.

    `*` means any origin. Upper case and default ports are changed to what browsers send.
    """
    names = value if isinstance(value, list) else text(value).split(",")
    found = [_origin(one.strip().lower()) for one in map(text, names) if one.strip()]
    return ",".join(dict.fromkeys(found))


def _origin(name: str) -> str:
    if name != "*" and not _ORIGIN.fullmatch(name):
        raise ValueError("is not an origin such as https://example.com, or *")
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if name.startswith(scheme):
            name = name.removesuffix(port)
    return name


def _check_range(number: float, minimum: float, maximum: float) -> None:
    if number < minimum:
        raise ValueError(f"is less than the minimum, {minimum:,}")
    if number > maximum:
        raise ValueError(f"is greater than the maximum, {maximum:,}")
