r"""What a listing tells of a session, from the first bytes of its string, without parsing most of them.

A listing of 200,000 sessions spends most of its time in parsing heads, and wants five fields of them. They stand where
awictl and the app write them: the first few right at the start, the rest before and in the history, which is last:

    {"session_id":"…","agent_id":"…","agent_name":"…","user_id":…,"current_url":"…","page_state":{"route":"…", …
    … "statistics":{… "last_activity":"…" …},"last_updated":"…","history":{"last_action":{…},"actions":[   \n{"t":0,…

What is skipped, between the two, is most of the page. Nothing in there can pass for one of the five:

- the beginning is matched from the first byte on, field after field;
- a quotation mark inside a JSON string is always escaped, so that `,"history":{` is never part of a string; and if it
  were the key of an object further inside, the rest of the line, which is parsed, would close more brackets than it
  opens, and be no JSON;
- what stands right before that key is on the same level as it is, and its object is taken without any brace or escape.

Where anything is different there is no glance, and the caller parses the head. The one thing that a glance does not see
is damage in what it skips: it takes the document for the JSON that it was when it was written.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import InvalidData
from .codec import loads
from .layout import OPEN, count_of_history

_TEXT = rb'"([^"\\\x00-\x1f]*)"'
_OPTIONAL = rb'(?:null|"[^"\\\x00-\x1f]*")'
_START = re.compile(
    rb'\{"session_id":"[^"\\]*","agent_id":%(text)s,"agent_name":%(text)s,'
    rb'"user_id":%(optional)s,"current_url":%(optional)s,"page_state":\{"route":%(text)s[,}]'
    % {b"text": _TEXT, b"optional": _OPTIONAL}
)
_STATISTICS = b'"statistics":{'
_ACTIVITY = re.compile(rb'%s[^{}\\]*"last_activity":%s[^{}\\]*\},"last_updated":%s' % (_STATISTICS, _TEXT, _OPTIONAL))
_HISTORY = b',"history":{'


class Glance(NamedTuple):
    """The five fields."""

    agent_id: str
    agent_name: str
    route: str
    last_activity: str
    #: How many actions the trajectory holds.
    actions: int


def glance(chunk: bytes, length: int) -> Glance | None:
    """The five fields from the first bytes of a string of `length` bytes; None where a glance does not do."""
    end = chunk.find(b"\n") + 1
    history = chunk.rfind(_HISTORY, 0, end)
    start = _START.match(chunk, 0, max(history, 0))
    if start is None:
        return None
    activity = _ACTIVITY.match(chunk, max(chunk.rfind(_STATISTICS, 0, history), 0), history)
    line = chunk[history + 1 : end].rstrip()
    if activity is None or activity.end() != history or not line.endswith(OPEN):
        return None
    try:
        tail = loads(b"{%b]}}" % line)
        # it closes three brackets: with one field at the top, the open array can only be that of the history
        actions = count_of_history(tail["history"], chunk, end, length) if len(tail) == 1 else None
        if actions is None:
            return None
        return Glance(start[1].decode(), start[2].decode(), start[3].decode(), activity[1].decode(), actions)
    except (InvalidData, UnicodeDecodeError):
        return None
