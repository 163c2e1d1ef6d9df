"""Encode and decode JSON with the number rules of the data contract (DESIGN, section 2).

Integers are exact to 64 bits; beyond that they are doubles, as in JavaScript. NaN and infinity are not JSON.

Uses orjson, which rejects two things that JavaScript writes: lone surrogates (as escapes, `\\ud83d`), and nesting
deeper than 254 levels. Stored documents that contain them are handled by the standard library instead, so that whatever
the app wrote can be read and written back.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import orjson

from ..errors import InvalidData, InvalidInput

#: Maximum nesting depth of objects and arrays in input.
MAX_INPUT_DEPTH = 200

_INT64_MIN = -(2**63)
_UINT64_MAX = 2**64 - 1


def dumps(value: Any) -> bytes:
    """Encode as compact JSON in UTF-8, without raw newlines. Raises InvalidInput if JSON cannot represent the value."""
    try:
        return orjson.dumps(value)
    except TypeError:
        try:
            return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
        except RecursionError:
            return _dumps_deep(value)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"not representable as JSON: {error}") from None


class _Encoded(str):
    """JSON text, in contrast to a string that is still to be encoded."""


def _dumps_deep(value: Any) -> bytes:
    """The same as `json.dumps`, without recursion: the app may nest values almost as deep as can be decoded."""
    texts: list[str] = []
    pending: list[Any] = [value]  # what remains to be encoded, the next one last
    while pending:
        one = pending.pop()
        if isinstance(one, _Encoded):
            texts.append(one)
        elif isinstance(one, dict):
            pending.append(_Encoded("}"))
            for number, (key, item) in reversed(list(enumerate(one.items()))):
                pending += [item, _Encoded(f"{',' if number else ''}{json.dumps(key)}:")]
            pending.append(_Encoded("{"))
        elif isinstance(one, (list, tuple)):
            pending.append(_Encoded("]"))
            for number, item in reversed(list(enumerate(one))):
                pending += [item, _Encoded("," if number else "")]
            pending.append(_Encoded("["))
        else:
            texts.append(json.dumps(one, allow_nan=False))
    return "".join(texts).encode()


def loads(text: bytes) -> Any:
    """Decode a stored JSON text. Raises InvalidData, whose message says what is wrong and where in the text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as strict:
        if b"\\ud" not in text.lower() and "depth" not in strict.msg:
            raise InvalidData(f"not valid JSON: {strict}") from None
        try:
            return json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant)
        except (ValueError, RecursionError, InvalidInput) as error:
            raise InvalidData(f"not valid JSON: {error}") from None


def loads_at(text: bytes, where: str) -> Any:
    """Like `loads`, with the location of the stored text (`where`) in the message of InvalidData."""
    try:
        return loads(text)
    except InvalidData as error:
        raise InvalidData(f"{where}: {error}") from None


def parse_input(text: bytes) -> Any:
    """Decode a JSON text that a user passed, and apply the rules for input (see `check_input`)."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"not valid JSON: {error}") from None
    return check_input(value)


def check_input(value: Any) -> Any:
    """A copy of `value` as encoding and decoding would return it: plain dicts, lists and scalars only.

    Integers beyond 64 bits become doubles. Raises InvalidInput for what JSON or the contract does not allow: NaN,
    infinity, lone surrogates, keys that are not strings, other types, nesting deeper than MAX_INPUT_DEPTH.
    """
    return _checked(value, 0)


def _checked(value: Any, depth: int) -> Any:
    if value is None or value is True or value is False or (type(value) is str and value.isascii()):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if _INT64_MIN <= value <= _UINT64_MAX else _finite(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput("not valid JSON: NaN and infinity are not allowed")
        return value
    if depth >= MAX_INPUT_DEPTH:
        raise InvalidInput(f"nested deeper than {MAX_INPUT_DEPTH} levels")
    if isinstance(value, dict):
        depth += 1
        return {
            key if type(key) is str and key.isascii() else _key(key): _checked(item, depth)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_checked(item, depth + 1) for item in value]
    raise InvalidInput(f"not representable as JSON: a value of type {type(value).__name__}")


def _text(value: str) -> str:
    try:
        value = str.__str__(value)
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput("not valid JSON: a string contains a lone surrogate") from None
    return value


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise InvalidInput(f"not representable as JSON: a key of type {type(key).__name__}; keys must be strings")
    return _text(key)


def _integer(digits: str) -> int | float:
    # float() first: int() is slow for very long digit strings, and raises ValueError beyond 4,300 digits
    value = float(digits)
    if abs(value) < 2**65:
        exact = int(digits)
        if _INT64_MIN <= exact <= _UINT64_MAX:
            return exact
    return _finite(digits)


def _finite(number: str | int) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise InvalidInput("not valid JSON: a number is beyond the range of a double")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def encodable(text: str) -> str:
    """`text` with lone surrogates, which UTF-8 cannot encode, replaced by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def json_equal(a: Any, b: Any) -> bool:
    """Whether two values are equal as JSON: 1 equals 1.0, but neither equals true; the order of keys is ignored.

    Of any nesting: it does not recurse, since the app can store deeper values than Python can recurse into.
    """
    pairs = [(a, b)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, bool) or isinstance(b, bool):
            equal = a is b
        elif isinstance(a, dict) and isinstance(b, dict):
            equal = a.keys() == b.keys()
            if equal:
                pairs += [(item, b[key]) for key, item in a.items()]
        elif isinstance(a, list) and isinstance(b, list):
            equal = len(a) == len(b)
            pairs += zip(a, b, strict=False)
        else:
            equal = type(a) is type(b) and a == b if isinstance(a, (str, dict, list)) else bool(a == b)
        if not equal:
            return False
    return True


_TYPE_NAMES = {dict: "an object", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def json_type(value: Any) -> str:
    """Return the JSON type of a value, with its article, for messages: `an object`, `null`."""
    if isinstance(value, list):
        return "an array"
    return "null" if value is None else _TYPE_NAMES.get(type(value), f"a Python {type(value).__name__}")
