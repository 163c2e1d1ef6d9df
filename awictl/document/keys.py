"""The names of the keys in Redis, and the ids in them (DESIGN, section 2)."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from ..errors import InvalidInput

SESSION_PREFIX = "AWI:SESSION:"
DIFF_PREFIX = "AWI:DIFF:"
AGENT_PREFIX = "AGENT:SESSION:"
CACHE_PREFIX = "AWI:CACHE:LIST:"
IMAGE_PREFIX = "MEDIA:IMG:"
EMBEDDING_PREFIX = "MEDIA:EMBED:"
LOCK_PREFIX = "LOCK:SESSION:"
RATE_LIMIT_PREFIX = "RATELIMIT:"
#: Ids of sessions that an agent ended over HTTP, until they are archived; only awictl's server uses it.
ENDED_PREFIX = "AWI:ENDED:"
#: A hash: by session id, the strings of sessions that are being ended. Their agents do not find them any more.
ENDING_KEY = "AWI:ENDING"


class KeyKind(StrEnum):
    """What a key is used for, according to its name."""

    SESSION = "session"
    DIFF = "diff"
    AGENT = "agent"
    CACHE = "cache"
    IMAGE = "image"
    EMBEDDING = "embedding"
    LOCK = "lock"
    RATE_LIMIT = "ratelimit"
    OTHER = "other"


#: The prefix of the keys of each kind.
PREFIXES = {
    KeyKind.SESSION: SESSION_PREFIX,
    KeyKind.DIFF: DIFF_PREFIX,
    KeyKind.AGENT: AGENT_PREFIX,
    KeyKind.CACHE: CACHE_PREFIX,
    KeyKind.IMAGE: IMAGE_PREFIX,
    KeyKind.EMBEDDING: EMBEDDING_PREFIX,
    KeyKind.LOCK: LOCK_PREFIX,
    KeyKind.RATE_LIMIT: RATE_LIMIT_PREFIX,
}
_KINDS = list(PREFIXES)
_KIND = re.compile("|".join(f"({prefix})" for prefix in PREFIXES.values()).encode())


def kind_of(name: bytes) -> KeyKind:
    """The kind of a key; OTHER if AWI does not use it."""
    match = _KIND.match(name)
    return _KINDS[match.lastindex - 1] if match is not None and match.lastindex else KeyKind.OTHER


#: TTL of AWI:DIFF:<session_id>, in seconds.
DIFF_TTL_SECONDS = 300

#: Minimum and maximum TTL that a caller can choose for a session, in milliseconds: a second, and a year.
MIN_TTL_MS = 1_000
MAX_TTL_MS = 31_536_000_000

#: TTL of LOCK:SESSION:<session_id>, in seconds.
LOCK_TTL_SECONDS = 30

#: Length of a rate limit window: the TTL of RATELIMIT:<agent_id>:<operation>, in milliseconds.
RATE_LIMIT_WINDOW_MS = 3_600_000

#: Regular expressions of a session id and of an op_id, without anchors.
SESSION_ID_PATTERN = "sess_[A-Za-z0-9_-]{1,64}"
OP_ID_PATTERN = "[A-Za-z0-9_.:-]{1,128}"

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_SESSION_ID = re.compile(SESSION_ID_PATTERN, re.ASCII)
_SESSION_KEYS = re.compile(rf"^{SESSION_PREFIX}({_SESSION_ID.pattern})$", re.ASCII | re.MULTILINE)
_CACHE_KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TIMED_OP_ID = re.compile(r"op_[0-9a-f]{32}", re.ASCII)
_YEAR_2025 = 1_735_689_600
_YEAR_2100 = 4_102_444_800
_OP_ID = re.compile(OP_ID_PATTERN, re.ASCII)

#: Maximum length of an agent id, in characters.
MAX_AGENT_ID = 256
#: Maximum length of the id of an image or the key of an embedding, in characters.
MAX_MEDIA_ID = 256


def new_session_id() -> str:
    """A new session id: `sess_` and 32 random hex digits."""
    import secrets  # seldom needed, and slow to import

    return f"sess_{secrets.token_hex(16)}"


def new_op_id() -> str:
    """A new op_id: `op_` and 32 hex digits. The first 12 are the time in milliseconds, the rest is random."""
    import secrets

    return f"op_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def op_id_time(op_id: str) -> datetime | None:
    """When `new_op_id` created this op_id; None if it has another form."""
    if not _TIMED_OP_ID.fullmatch(op_id):
        return None
    seconds = int(op_id[3:15], 16) / 1000
    # an op_id that only happens to have this form is unlikely to be from these years
    return datetime.fromtimestamp(seconds, UTC) if _YEAR_2025 < seconds < _YEAR_2100 else None


def is_session_id(text: object) -> bool:
    """Whether this can be the id of a session."""
    return isinstance(text, str) and _SESSION_ID.fullmatch(text) is not None


def check_session_id(session_id: str) -> str:
    """Return a session id. Raises InvalidInput if it is not one."""
    if not is_session_id(session_id):
        raise InvalidInput(
            f"{_shown(session_id)} is not a session id: expected sess_ and 1 to 64 letters, digits, _ or -"
        )
    return session_id


def check_agent_id(agent_id: str) -> str:
    """Return an agent id. Raises InvalidInput if it is not short printable text, because it becomes part of a key."""
    if not isinstance(agent_id, str) or not 0 < len(agent_id) <= MAX_AGENT_ID or not agent_id.isprintable():
        raise InvalidInput(f"{_shown(agent_id)} is not an agent id: expected 1 to {MAX_AGENT_ID} printable characters")
    return agent_id


def is_object_id(text: object) -> bool:
    """Whether a value is the text of an ObjectId of MongoDB: 24 hex digits."""
    return isinstance(text, str) and _OBJECT_ID.fullmatch(text) is not None


def is_media_id(text: object) -> bool:
    """Whether this can be the id of an image or the key of an embedding: short printable text."""
    return isinstance(text, str) and 0 < len(text) <= MAX_MEDIA_ID and text.isprintable()


def check_media_id(text: str) -> str:
    """Return the id of an image or the key of an embedding. Raises InvalidInput if it is not one."""
    if not is_media_id(text):
        raise InvalidInput(f"{_shown(text)} is not a media id: expected 1 to {MAX_MEDIA_ID} printable characters")
    return text


def check_ttl(ttl_ms: int | None) -> int | None:
    """Return the TTL of a session in milliseconds, or None for the usual one. Raises InvalidInput if out of bounds."""
    if ttl_ms is not None and not (type(ttl_ms) is int and MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS):
        raise InvalidInput(f"the TTL of a session must be between 1 second and 365 days, not {ttl_ms!r:.40} ms")
    return ttl_ms


def is_op_id(text: str) -> bool:
    """Whether a string is an op_id; see `check_op_id`."""
    return _OP_ID.fullmatch(text) is not None


def check_op_id(op_id: str) -> str:
    """Return an op_id. Raises InvalidInput if it is not one.

    Its characters need no escapes in JSON, so that an op_id can be found as bytes.
    """
    if not isinstance(op_id, str) or not _OP_ID.fullmatch(op_id):
        raise InvalidInput(f"{_shown(op_id)} is not an op_id: expected 1 to 128 letters, digits, or _ . : -")
    return op_id


def session_key(session_id: str) -> str:
    """The key of a session document. Raises InvalidInput if the id is not one, so that no other key can be accessed."""
    return SESSION_PREFIX + check_session_id(session_id)


def diff_key(session_id: str) -> str:
    """The key of the last delta of a session."""
    return DIFF_PREFIX + check_session_id(session_id)


def agent_key(agent_id: str) -> str:
    """The key of the current session id of an agent (its mapping).

    A lone surrogate in a stored agent id is U+FFFD in the key, as Node.js encodes it.
    """
    if not agent_id.isascii():
        agent_id = agent_id.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return AGENT_PREFIX + agent_id


def ending_key(session_id: str) -> str:
    """The key of a session that is being ended, on a cluster: a hash as `ENDING_KEY`, in the slot of the session."""
    return f"{ENDING_KEY}:{{{session_key(session_id)}}}"


def ended_key(agent_id: str) -> str:
    """The key of the sessions that an agent has ended, and that are not archived yet: ids with spaces between."""
    return ENDED_PREFIX + agent_key(agent_id).removeprefix(AGENT_PREFIX)


def is_cache_key(text: str) -> bool:
    """Whether this is a cache key as `cache_key` creates it."""
    return _CACHE_KEY.fullmatch(text) is not None


def check_cache_key(text: str) -> str:
    """Return a cache key without its prefix. Raises InvalidInput if it is not one."""
    text = text.removeprefix(CACHE_PREFIX) if isinstance(text, str) else text
    if not isinstance(text, str) or not is_cache_key(text):
        raise InvalidInput(
            f"{_shown(text)} is not a cache key: expected 32 hex digits, as `awictl cache key` prints them"
        )
    return text


def image_key(image_id: str) -> str:
    """The key of an image."""
    return IMAGE_PREFIX + check_media_id(image_id)


def embedding_key(key: str) -> str:
    """The key of an embedding."""
    return EMBEDDING_PREFIX + check_media_id(key)


def rate_limit_key(agent_id: str, operation: str) -> str:
    """The key of the counter of an agent's requests for an operation."""
    return f"{RATE_LIMIT_PREFIX}{agent_id}:{operation}"


def session_ids_of(names: Sequence[bytes]) -> list[str]:
    """The session ids in the names of keys. Names that are not session keys are left out."""
    text = b"\n".join(names).decode("ascii", "replace")
    if text.count("\n") == len(names) - 1:  # no name contains a newline
        return _SESSION_KEYS.findall(text)
    prefix = SESSION_PREFIX.encode()
    ids = [as_session_id(name.removeprefix(prefix)) for name in names if name.startswith(prefix)]
    return [one for one in ids if one is not None]


def as_session_id(raw: bytes) -> str | None:
    """Stored bytes as a session id; None if they are not one."""
    text = raw.decode("utf-8", "replace")
    return text if _SESSION_ID.fullmatch(text) else None


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def decode_key(name: bytes) -> str:
    r"""Decode the name of a key, or another value, for display: bytes that are not UTF-8 are escaped as `\xff`."""
    return name.decode("utf-8", "backslashreplace")
