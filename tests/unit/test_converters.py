"""Converters of settings: accepted values, and error messages that do not repeat the value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from awictl.util.converters import boolean, integer, number, origins, text

Convert = Callable[[Any], Any]

VALID: list[tuple[Convert, Any, Any]] = [
    (text, "x", "x"),
    (text, 5, "5"),
    (boolean, True, True),
    (boolean, 0, False),
    (boolean, " YES ", True),
    (boolean, "", False),
    (integer(1), " 7 ", 7),
    (integer(1), 7.0, 7),
    (integer(-1), "-1", -1),
    (integer(0, 5), 5, 5),
    (number(0.5), "0.5", 0.5),
    (number(0.5), 1, 1.0),
    (origins, "https://a.example", "https://a.example"),
    (
        origins,
        " HTTPS://A.example:443 ,, http://a.example:80,https://a.example:80,",
        "https://a.example,http://a.example,https://a.example:80",
    ),
    (origins, "http://[::1]:8000,http://localhost:8000", "http://[::1]:8000,http://localhost:8000"),
    (origins, ["https://a.example", "https://a.example:443"], "https://a.example"),
    (origins, "chrome-extension://abcdef", "chrome-extension://abcdef"),
    (origins, "*", "*"),
    (origins, "", ""),
]
INVALID: list[tuple[Convert, Any, str]] = [
    (text, True, "is not text"),
    (text, ["x"], "is not text"),
    (boolean, 2, "is not true or false"),
    (boolean, {}, "is not true or false"),
    (integer(1), "x", "is not a whole number"),
    (integer(1), "", "is not a whole number"),
    (integer(1), 1.5, "is not a whole number"),
    (integer(1), float("inf"), "is not a whole number"),
    (integer(1), True, "is not a whole number"),
    (integer(1), date(2026, 1, 1), "is not a whole number"),
    (integer(1024), "1023", "is less than the minimum, 1,024"),
    (integer(1, 65535), "65536", "is greater than the maximum, 65,535"),
    (integer(1), "9" * 400, "is greater than the maximum, 9,007,199,254,740,992"),
    *(
        (origins, wrong, "is not an origin such as https://example.com, or *")
        for wrong in (
            *("a.example", "null", "https://", "https://*.example", "https://a.example/", "https://a.example/x"),
            *(
                "https://u@a.example",
                "https://a.example\r\nX: y",
                "https://ä.example",
                "//a.example",
            ),
            *("https://a.example:", "https://a.example:x", "https://a.example?x", "https://a b", "https://a,b"),
        )
    ),
    (origins, True, "is not text"),
    (origins, [True], "is not text"),
    (number(0.001), "nan", "is not a number"),
    (number(0.001), True, "is not a number"),
    (number(0.001), [1.0], "is not a number"),
    (number(0.001), 10**400, "is not a number"),
    (number(0.001), 0, "is less than the minimum, 0.001"),
    (number(0.001), "-inf", "is less than the minimum, 0.001"),
    (number(0.001), "inf", "is greater than the maximum, 9,007,199,254,740,992"),
]


@pytest.mark.parametrize(("convert", "value", "expected"), VALID)
def test_valid_values(convert: Convert, value: Any, expected: Any) -> None:
    found = convert(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("convert", "value", "message"), INVALID)
def test_invalid_values(convert: Convert, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        convert(value)
    assert str(raised.value) == message
