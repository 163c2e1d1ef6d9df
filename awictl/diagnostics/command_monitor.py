"""What clients do to the keys of AWI, as a server tells while it does it. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..document.keys import PREFIXES, KeyKind, check_session_id, kind_of
from ..store.redis.monitor import MonitoredCommand, script_name

if TYPE_CHECKING:
    from ..store.redis.keyspace import Keyspace

#: Bytes of an argument that are told, unless all are asked for.
SHOWN_BYTES = 60

#: Commands that concern all keys; those that look for keys by a pattern; those whose arguments are keys, and how far
#: it is from one to the next. Of all others the first argument is the key.
_ON_ALL = {"FLUSHALL", "FLUSHDB", "SWAPDB"}
_BY_PATTERN = {"KEYS", "SCAN"}
_STEPS = {"DEL": 1, "UNLINK": 1, "EXISTS": 1, "TOUCH": 1, "MGET": 1, "WATCH": 1, "MSET": 2, "MSETNX": 2}
_TWO_KEYS = {"RENAME", "RENAMENX", "COPY", "LMOVE", "RPOPLPUSH"}
_SCRIPTS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"}
#: Those that may have passwords in them: servers hide them, and so it is done here.
_SECRET = {"AUTH", "HELLO", "ACL", "CONFIG", "MIGRATE"}
#: Those whose key stands after a subcommand.
_CONTAINERS = {"OBJECT", "MEMORY", "DEBUG"}

#: What a line has in it that may be of interest: any more exact look costs too much where there are very many.
_BEGINNINGS = "|".join(PREFIXES.values())
_WANTED = re.compile(rf'"(?:{_BEGINNINGS})|\] "(?i:{"|".join(sorted(_ON_ALL | _BY_PATTERN))})"'.encode())
_HASH_LENGTH = 40
_WILDCARD = re.compile(rb"[*?\[\\]")


@dataclass(frozen=True)
class Operation:
    """A command on keys of AWI."""

    #: When, as ISO 8601, by the server's clock.
    at: str
    db: int
    #: The address of the client; `lua` for what a script does.
    client: str
    #: In upper case.
    command: str
    #: The name of the script where it is one of awictl's, else its hash or size; None where there is none.
    script: str | None
    #: The names of the keys, or the patterns; bytes that are not UTF-8 are escaped. Empty: all keys.
    keys: list[str]
    #: What each of them is for, and the id in its name; of other keys the whole name.
    named: list[tuple[KeyKind, str]]
    #: The kind of the first one that is of AWI.
    kind: KeyKind
    #: All arguments but keys and scripts, as they were sent.
    arguments: list[bytes]

    def row(self, shown_bytes: int | None = SHOWN_BYTES) -> dict[str, Any]:
        """The same as plain data, with the first bytes of each argument. None: with all of them."""
        row = {**vars(self), "arguments": list(self.shown(shown_bytes))}
        row["id"] = next((id for kind, id in row.pop("named") if kind is self.kind), None)
        return row

    def shown(self, size: int | None = SHOWN_BYTES) -> Iterator[str]:
        """The arguments as text; of a longer one than `size` bytes the beginning, and how many there are."""
        for one in self.arguments:
            if size is None or len(one) <= size:
                yield _text(one)
            else:
                yield f"{one[:size].decode('utf-8', 'ignore')}… ({len(one):,} bytes)"


def operation(command: MonitoredCommand) -> Operation | None:
    """What a command does to keys of AWI; None where it does nothing to them."""
    name, arguments = _text(command.words[0]).upper() if command.words else "", command.words[1:]
    if name in _SECRET:
        return None
    script, keys, rest = _parts(name, arguments)
    kinds = [_kind_of_pattern(key) if name in _BY_PATTERN else kind_of(key) for key in keys]
    known = [kind for kind in kinds if kind is not None and kind is not KeyKind.OTHER]
    if not known and name not in _ON_ALL and None not in kinds:
        return None
    at = datetime.fromtimestamp(command.at_us // 1_000_000, UTC).replace(microsecond=command.at_us % 1_000_000)
    return Operation(
        at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        command.db,
        command.client,
        name,
        script,
        [_text(key) for key in keys],
        [_named(key) for key in keys],
        known[0] if known else KeyKind.OTHER,
        rest,
    )


def _parts(name: str, arguments: list[bytes]) -> tuple[str | None, list[bytes], list[bytes]]:
    """The script of a command, its keys, and what is left of its arguments."""
    if name in _ON_ALL:
        return None, [], arguments
    if name == "SCAN":
        at = next((i for i, one in enumerate(arguments) if one.upper() == b"MATCH"), len(arguments))
        return None, arguments[at + 1 : at + 2], arguments[:at] + arguments[at + 2 :]
    if name in _STEPS:
        step = _STEPS[name]
        return None, arguments[::step], arguments[1::2] if step == 2 else []
    if name in _SCRIPTS:
        if len(arguments) < 2:
            return None, [], arguments
        count = int(arguments[1]) if arguments[1].isdigit() and len(arguments[1]) < 10 else 0
        return _script(name, arguments[0]), arguments[2 : 2 + count], arguments[2 + count :]
    at = 1 if name in _CONTAINERS else 0
    count = 2 if name in _TWO_KEYS else 1
    return None, arguments[at : at + count], arguments[:at] + arguments[at + count :]


def _script(name: str, given: bytes) -> str:
    if known := script_name(given):
        return known
    in_full = name in ("EVAL", "EVAL_RO")
    return f"a script of {len(given):,} bytes" if in_full else _text(given)[:_HASH_LENGTH]


def _kind_of_pattern(pattern: bytes) -> KeyKind | None:
    """The kind of the keys that match; None for several kinds, OTHER for none."""
    head = _WILDCARD.split(pattern, maxsplit=1)[0]
    kind = kind_of(head)
    if kind is not KeyKind.OTHER or head == pattern:
        return kind
    kinds = [kind for kind, prefix in PREFIXES.items() if prefix.encode().startswith(head)]
    return kinds[0] if len(kinds) == 1 else None if kinds else KeyKind.OTHER


def _named(key: bytes) -> tuple[KeyKind, str]:
    kind = kind_of(key)
    return kind, _text(key).removeprefix(PREFIXES.get(kind, ""))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


class Operations:
    """Follows what is done to the keys of AWI on one server."""

    def __init__(self, keyspace: Keyspace, session_id: str | None = None, kinds: Collection[KeyKind] = ()) -> None:
        """All of them, or those on one session, or on keys of these kinds; always those that concern all keys."""
        self._session_id = check_session_id(session_id) if session_id is not None else None
        self._kinds = frozenset(kinds)
        self._monitor = keyspace.monitor()
        #: How many of all commands were told.
        self.told = 0

    @property
    def seen(self) -> int:
        """How many commands the server ran meanwhile, whatever for."""
        return self._monitor.seen

    async def follow(self, seconds: float) -> AsyncGenerator[Operation, None]:
        """The operations of so many seconds, as they happen.

        Raises AccessDenied where the user may not ask for that, Refused where there are too many to follow, and
        Unreachable.
        """
        async with aclosing(self._monitor.commands(_WANTED, seconds)) as commands:
            async for command in commands:
                found = operation(command)
                if found is not None and self._is_wanted(found):
                    self.told += 1
                    yield found

    def _is_wanted(self, found: Operation) -> bool:
        """Whether it is of one of these kinds, and names the session: in a key, or as an agent's current one."""
        if not found.keys:
            return True
        wanted = self._session_id
        named = wanted is None or wanted.encode() in found.arguments or any(id == wanted for _, id in found.named)
        return named and (not self._kinds or found.kind in self._kinds)
