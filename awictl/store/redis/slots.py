"""Hash slots of a Redis Cluster: of a key, and of a command by the position of its first key.

Source: the cluster specification, https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence

#: Number of hash slots of every cluster.
SLOTS = 16_384

#: Position of the first key in a command, if it is not 1; 0: it has none.
_FIRST_KEY = dict.fromkeys(
    ("ACL", "ASKING", "AUTH", "CLUSTER", "CONFIG", "DBSIZE", "INFO", "MONITOR", "PING", "ROLE", "SCAN", "TIME", "WAIT"),
    0,
) | {"MEMORY": 2, "OBJECT": 2}
#: Commands whose keys follow their number, which is their third word.
_NUMBERED = frozenset(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"))


def key_slot(key: bytes | str) -> int:
    """The slot of a key: the CRC16 (XMODEM) of its hash tag, or of the whole key if it has none."""
    data = key.encode() if isinstance(key, str) else key
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return crc_hqx(data, 0) % SLOTS


def command_slot(command: Sequence[bytes | str | int]) -> int | None:
    """The slot of the first key of a command; None if it has no key."""
    name = command[0]
    position = _FIRST_KEY.get(name, 1)  # type: ignore[arg-type]
    if name in _NUMBERED:
        position = 3 if int(command[2]) > 0 else 0
    if not 0 < position < len(command):
        return None
    key = command[position]
    return key_slot(key if isinstance(key, (bytes, str)) else str(key))
