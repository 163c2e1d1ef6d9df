"""Report the commands that clients run on AWI keys, from the server's MONITOR stream. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..document.keys import PREFIXES, KeyKind, check_session_id, decode_key, kind_of
from ..store.redis.monitor import MonitoredCommand, script_name

if TYPE_CHECKING:
    from ..store.keyspace import Keyspace

#: Bytes of each argument that are shown by default.
SHOWN_BYTES = 60

#: Commands that affect all keys; commands that select keys by a pattern; commands with several keys, and the distance
#: from one key to the next; commands with two keys; scripts. In all other commands, the first argument is the key.
_ON_ALL = {"FLUSHALL", "FLUSHDB", "SWAPDB"}
_BY_PATTERN = {"KEYS", "SCAN"}
_STEPS = {"DEL": 1, "UNLINK": 1, "EXISTS": 1, "TOUCH": 1, "MGET": 1, "WATCH": 1, "MSET": 2, "MSETNX": 2}
_TWO_KEYS = {"RENAME", "RENAMENX", "COPY", "LMOVE", "RPOPLPUSH"}
_SCRIPTS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"}
#: Commands that may contain passwords. Servers leave them out of MONITOR; they are never reported here either.
_SECRET = {"AUTH", "HELLO", "ACL", "CONFIG", "MIGRATE"}
#: Commands whose key follows a subcommand.
_CONTAINERS = {"OBJECT", "MEMORY", "DEBUG"}

#: Cheap filter for lines that may concern AWI keys; parsing every line is too slow on a busy server.
_BEGINNINGS = "|".join(PREFIXES.values())
_WANTED = re.compile(rf'"(?:{_BEGINNINGS})|\] "(?i:{"|".join(sorted(_ON_ALL | _BY_PATTERN))})"'.encode())
_HASH_LENGTH = 40
_WILDCARD = re.compile(rb"[*?\[\\]")


@dataclass(frozen=True)
class Operation:
    """A command on AWI keys."""

    #: Time in ISO 8601, from the server's clock.
    at: str
    db: int
    #: The address of the client; `lua` for commands that a script runs.
    client: str
    #: The name of the command in upper case.
    command: str
    #: The name of the script if it is one of awictl's, else its hash or size; None for other commands.
    script: str | None
    #: The names of the keys, or the pattern; bytes that are not UTF-8 are escaped. Empty: all keys.
    keys: list[str]
    #: The kind of each key and the ID in its name; for other keys, the whole name.
    named: list[tuple[KeyKind, str]]
    #: The kind of the first AWI key.
    kind: KeyKind
    #: All arguments except keys and scripts, as raw bytes.
    arguments: list[bytes]

    def row(self, shown_bytes: int | None = SHOWN_BYTES) -> dict[str, Any]:
        """Return the operation as JSON-compatible data. `shown_bytes`: as `size` of `shown`."""
        row = {**vars(self), "arguments": list(self.shown(shown_bytes))}
        row["id"] = next((id for kind, id in row.pop("named") if kind is self.kind), None)
        return row

    def shown(self, size: int | None = SHOWN_BYTES) -> Iterator[str]:
        """Yield the arguments as text, each truncated to `size` bytes (None: not truncated) followed by its length."""
        for argument in self.arguments:
            if size is None or len(argument) <= size:
                yield decode_key(argument)
            else:
                yield f"{argument[:size].decode('utf-8', 'ignore')}… ({len(argument):,} bytes)"


def operation(command: MonitoredCommand) -> Operation | None:
    """Return what a command does to AWI keys; None if it affects none of them, or may contain passwords."""
    name, arguments = decode_key(command.words[0]).upper() if command.words else "", command.words[1:]
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
        [decode_key(key) for key in keys],
        [_named(key) for key in keys],
        known[0] if known else KeyKind.OTHER,
        rest,
    )


def _parts(name: str, arguments: list[bytes]) -> tuple[str | None, list[bytes], list[bytes]]:
    """Split the arguments of a command: script, keys, other arguments."""
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


def _script(name: str, script: bytes) -> str:
    """Return the name of a script of awictl; for others the hash (EVALSHA), function name (FCALL) or size (EVAL)."""
    if known := script_name(script):
        return known
    is_source = name in ("EVAL", "EVAL_RO")
    return f"a script of {len(script):,} bytes" if is_source else decode_key(script)[:_HASH_LENGTH]


def _kind_of_pattern(pattern: bytes) -> KeyKind | None:
    """Return the kind of the keys that match; None if several kinds can match, OTHER if no AWI key can."""
    head = _WILDCARD.split(pattern, maxsplit=1)[0]
    kind = kind_of(head)
    if kind is not KeyKind.OTHER or head == pattern:
        return kind
    kinds = [kind for kind, prefix in PREFIXES.items() if prefix.encode().startswith(head)]
    return kinds[0] if len(kinds) == 1 else None if kinds else KeyKind.OTHER


def _named(key: bytes) -> tuple[KeyKind, str]:
    kind = kind_of(key)
    return kind, decode_key(key).removeprefix(PREFIXES.get(kind, ""))


class OperationMonitor:
    """Monitors the operations on AWI keys on one server, or on all masters."""

    def __init__(self, keyspace: Keyspace, session_id: str | None = None, kinds: Collection[KeyKind] = ()) -> None:
        """Select operations on one session or on keys of these kinds; default: all. FLUSHALL and the like are included.

        Raises InvalidInput if `session_id` is not a session ID.
        """
        self._session_id = check_session_id(session_id) if session_id is not None else None
        self._kinds = frozenset(kinds)
        self._monitor = keyspace.monitor()
        #: Number of operations that `follow` has yielded.
        self.matched = 0

    @property
    def received(self) -> int:
        """Number of commands that the server has sent, whatever their keys."""
        return self._monitor.total

    async def follow(
        self, seconds: float, on_change: Callable[[str], None] = lambda _: None
    ) -> AsyncGenerator[Operation, None]:
        """Yield operations as they happen, for this number of seconds.

        `on_change`: called with a sentence for operators when a master of a deployment is lost or replaced.

        Raises AccessDenied if the user may not run MONITOR, Refused if the server runs more commands than this client
        can read, and Unreachable.
        """
        async with aclosing(self._monitor.commands(_WANTED, seconds, on_change)) as commands:
            async for command in commands:
                one = operation(command)
                if one is not None and self._matches(one):
                    self.matched += 1
                    yield one

    def _matches(self, one: Operation) -> bool:
        """Whether the kind is selected and the session is named: in a key, or as the value of an agent mapping."""
        if not one.keys:
            return True
        wanted = self._session_id
        named = wanted is None or wanted.encode() in one.arguments or any(id == wanted for _, id in one.named)
        return named and (not self._kinds or one.kind in self._kinds)
