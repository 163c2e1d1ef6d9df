"""Convert text, and values from TOML, to bool, int, float and str.

Each converter raises ValueError with a message that completes `NAME: VALUE …` and does not repeat the value, which may
be a secret. `msgspec.convert` does not serve here: it rejects `yes`, `on`, ` 7 ` and a number as a password, and its
messages name types ("Expected `int`, got `str`"), not what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Integers and numbers of settings are limited to what a double represents exactly.
_MAXIMUM = 2**53
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


def _check_range(number: float, minimum: float, maximum: float) -> None:
    if number < minimum:
        raise ValueError(f"is less than the minimum, {minimum:,}")
    if number > maximum:
        raise ValueError(f"is greater than the maximum, {maximum:,}")
