"""Check the stored bytes of a session: that they are laid out as readers and updates expect (see `byte_layout`)."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidData
from ..action_numbers import required_actions
from ..byte_layout import CLOSE, decode_counted_head, decode_head
from ..history.partial_state import ABSENT
from ..json_codec import loads
from ..splice import FOLLOWING_BYTES
from .discrepancy import DamageKind, Verification


def check_layout(raw: bytes, document: dict[str, Any], found: Verification) -> None:
    """Check the bytes of a document. On one line, as the app writes it, any JSON is sound."""
    if b"\n" in raw and (why := _why_unsound(raw, len(required_actions(document)))):
        found.add(DamageKind.LAYOUT, "", ABSENT, ABSENT, f"The stored bytes have no sound layout: {why}")


def _why_unsound(raw: bytes, count: int) -> str:
    """Why bytes of several lines do not have the layout; empty if they do. `count`: the number of actions."""
    end = raw.index(b"\n") + 1
    if decode_head(raw[:end]) is None:
        return "the first line is not everything but the actions"
    if not raw.endswith(CLOSE):
        return "the last line does not close the document"
    lines = raw[end : -len(CLOSE)].split(b",\n") if len(raw) >= end + len(CLOSE) else []
    if len(lines) != count or b"\n" in b"".join(lines):
        return f"there are {len(lines)} lines for {count} actions"
    for number, line in enumerate(lines):
        try:
            loads(line)
        except InvalidData:
            return f"line {number + 2} is not one action"
    counted = decode_counted_head(raw[: end + FOLLOWING_BYTES], len(raw))
    if counted is not None and counted[1] != count:
        return f"by its first lines it has {counted[1]} actions, but it has {count}"
    return ""
