"""Live sessions that the app's own end would lose.

The app's end deletes a session from Redis first, then saves it through a mongoose schema, and ignores the error if that
rejects it. What is known of the schema (the app's enum of action names; `agentId` is an ObjectId in what it archived)
is checked here.
"""

from __future__ import annotations

import re
from typing import Any

from ...document.byte_layout import decode
from ...document.json_codec import loads
from ...document.keys import is_object_id
from ...document.schema import APP_ACTIONS, APP_DOCUMENT_ID, as_array, as_object
from ...errors import InvalidData

#: Maximum size of the trajectories that one scan reads for this, in bytes, and of those in one request.
MAX_BYTES = 268_435_456
BATCH_BYTES = 4_194_304
#: Number of names that are given as a reason.
_MAX_NAMES = 3

#: Every `action` as awictl and the app serialize it, at any depth, so that most documents need not be decoded.
_ACTION = re.compile(rb'"action":\s*("(?:[^"\\]|\\.)*"|[^"])')


def why_lost(agent_id: Any, raw: bytes) -> str:
    """Why the app could not save a session; empty if nothing is known that speaks against it.

    `raw`: its string. A document that cannot be decoded is reported elsewhere.
    """
    reasons = []
    if not is_object_id(agent_id):
        reasons.append("its agent_id is not an ObjectId")
    if _is_copied_from_app(raw):
        reasons.append("it was copied from a document of the app, beside which the app cannot save another one")
    if names := _unknown_actions(raw):
        shown = ", ".join(ascii(one)[:60] for one in names[:_MAX_NAMES])
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        reasons.append(f"the app has no action {shown}{more}")
    return "; ".join(reasons)


def _is_copied_from_app(raw: bytes) -> bool:
    if APP_DOCUMENT_ID.encode() not in raw:
        return False
    try:
        return APP_DOCUMENT_ID in decode(raw)
    except InvalidData:
        return False


def _unknown_actions(raw: bytes) -> list[Any]:
    """The names of actions that are not in the app's enum, each once."""
    if all(_is_known(name) for name in set(_ACTION.findall(raw))):
        return []
    try:
        actions = as_array(as_object(decode(raw).get("history")).get("actions"))
    except InvalidData:
        return []
    unknown = [name for one in actions if not _in_enum(name := as_object(one).get("action"))]
    return list({repr(name): name for name in unknown}.values())


def _is_known(name: bytes) -> bool:
    try:
        return _in_enum(loads(name))
    except InvalidData:
        return False


def _in_enum(name: Any) -> bool:
    return isinstance(name, str) and name in APP_ACTIONS
