"""The types of the replies to commands and scripts. A server that sends others is not a Redis server, or is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

#: Returns whether a reply, which is no error, has the expected type.
Check = Callable[[Any], bool]


def _is_integer(reply: Any) -> bool:
    return type(reply) is int


def _is_string(reply: Any) -> bool:
    return type(reply) is bytes


def _is_string_or_nil(reply: Any) -> bool:
    return reply is None or type(reply) is bytes


def _is_list_of(*types: type) -> Check:
    """A check: a list with elements of these types, in this order."""
    return lambda reply: type(reply) is list and tuple(map(type, reply)) == types


_is_cursor_and_list = _is_list_of(bytes, list)
_starts_request = _is_list_of(int, int, bytes, int, bytes, bytes)


def _is_one_of(*words: bytes) -> Check:
    return lambda reply: type(reply) is bytes and reply in words


def _types(values: Sequence[Any]) -> set[type]:
    return set(map(type, values))


def _is_scan(reply: Any) -> bool:
    return _is_cursor_and_list(reply) and _types(reply[1]) <= {bytes}


def _is_commit(reply: Any) -> bool:
    if type(reply) is not list or _types(reply) != {bytes}:
        return False
    return reply[0] in (b"ok", b"conflict", b"gone", b"applied", b"ended") and len(reply) == 1 + (reply[0] == b"ok")


def _is_key_info(reply: Any) -> bool:
    return type(reply) is list and len(reply) % 3 == 0 and not _types(reply) & {list, type(None)}


def _are_versions(reply: Any) -> bool:
    is_even = type(reply) is list and len(reply) % 2 == 0
    return is_even and _types(reply[::2]) <= {bytes} and _types(reply[1::2]) <= {int}


def _are_session_versions(reply: Any) -> bool:
    return type(reply) is list and len(reply) % 2 == 1 and _types(reply) == {int}


def _is_request(reply: Any) -> bool:
    if type(reply) is not list or len(reply) not in (6, 7):
        return False
    return _starts_request(reply[:6]) and _is_string_or_nil(reply[-1])


#: By the name of a command; the replies to others are not checked here.
COMMANDS: dict[Any, Check] = {
    "CONFIG": lambda reply: type(reply) is list and _types(reply) <= {bytes},
    "DBSIZE": _is_integer,
    "DEL": _is_integer,
    "EXISTS": _is_integer,
    "GET": _is_string_or_nil,
    "GETRANGE": _is_string,
    "HGET": _is_string_or_nil,
    "HKEYS": lambda reply: type(reply) is list and _types(reply) <= {bytes},
    "INFO": _is_string,
    "PEXPIRE": _is_integer,
    "PING": _is_string,
    "PTTL": _is_integer,
    "SCAN": _is_scan,
    "STRLEN": _is_integer,
    "TIME": _is_list_of(bytes, bytes),
    "WAIT": _is_integer,
}
_TWO_PARTS = _is_list_of(int, bytes)
#: By the name of a script; the others return an integer.
SCRIPTS: dict[str, Check] = {
    "commit": _is_commit,
    "count_request": _is_list_of(int, int),
    "create": _TWO_PARTS,
    "create_if_absent": _TWO_PARTS,
    "delete": _is_one_of(b"deleted", b"changed", b"gone"),
    "key_info": _is_key_info,
    "key_versions": _are_versions,
    "put": _TWO_PARTS,
    "read_base": _is_list_of(int, bytes, bytes),
    "read_for_request": _is_request,
    "replace_mapping": _TWO_PARTS,
    "restore": _TWO_PARTS,
    "session_versions": _are_session_versions,
    "take": _TWO_PARTS,
    "touch": _TWO_PARTS,
}


def is_expected(command: Sequence[Any], reply: Any) -> bool:
    """Whether a reply to a command is an error, or has the expected type."""
    check = COMMANDS.get(command[0])
    return check is None or check(reply) or isinstance(reply, Exception)


def is_expected_of_script(name: str, reply: Any) -> bool:
    """Whether a reply to a script is an error, or has the expected type."""
    return SCRIPTS.get(name, _is_integer)(reply) or isinstance(reply, Exception)
