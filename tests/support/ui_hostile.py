"""Servers full of text that would do harm in a page that took it for markup, a link, code or a name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

from bson import ObjectId

from awictl.document import keys

from .documents import action, compact, document, put
from .mongo import MongoServer
from .valkey import ValkeyServer

#: Every one of them that ran as code would set `window.harmed`.
MARKUP = [
    "<script>window.harmed=1</script>",
    "</script><script>window.harmed=2</script>",
    '<img src=x onerror="window.harmed=3">',
    "<svg onload=window.harmed=4></svg>",
    '"><iframe srcdoc="<script>parent.harmed=5</script>"></iframe>',
    "' autofocus onfocus='window.harmed=6' x='",
    "javascript:window.harmed=7",
    "data:text/html,<script>opener.harmed=8</script>",
    "<a href='javascript:window.harmed=9'>click</a><base href=//evil.test>",
    "<meta http-equiv=refresh content=0;url=//evil.test><form action=//evil.test><input name=x>",
    "<style>*{display:none!important}</style><link rel=stylesheet href=//evil.test/x.css>",
    "${window.harmed=10}{{constructor.constructor('window.harmed=11')()}}<!--]]>--><%= 1 %>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=window.harmed=12>",
    "&lt;img src=x onerror=window.harmed=13&gt;&#60;b&#62;",
    "//evil.test/x.png",
]
#: Text that would change the look of what is around it: bidi controls, zero width, terminal escapes, combining marks.
LOOKS = [
    "\u202egnp.exe\u202c \u2066\u2067\u2069\u200f",
    "pay\u200bpal\ufeff\u2060\u00ad",
    "\x1b[2J\x1b]0;title\x07\x9b31m\x00\x7f\u2028\r\nforged: line",
    "Z" + "\u0351\u0363\u0347" * 60,
    "\U000e0041\U000e0042" + "\ufdfd" * 30,
    "W" * 3000,
]
HOSTILE = [*MARKUP, *LOOKS]
#: Names of fields that mean something to JavaScript.
NAMES = [
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "length",
    "then",
    "key",
    "ref",
]
NAMES += ["dangerouslySetInnerHTML", "innerHTML", "children", "style", "href", "onClick", "0", "-1", "", " "]
BIG = 1_000_000
DEPTH = 400
MANY = 10_000

PLAIN, TYPES, LARGE, DEEP, WIDE = (f"sess_{name}" for name in ("hostile", "types", "large", "deep", "wide"))
CACHE_KEY = "0" * 32
SESSIONS = [PLAIN, TYPES, LARGE, DEEP, WIDE]


class Poison:
    """Replaces strings by hostile ones, each in turn."""

    def __init__(self) -> None:
        self._next = cycle(HOSTILE)

    def __call__(self, value: Any, kept: tuple[str, ...] = ()) -> Any:
        """The same JSON with hostile text in every string, and a hostile name beside every field.

        kept: names of fields whose values stay.
        """
        if isinstance(value, dict):
            made = {name: item if name in kept else self(item, kept) for name, item in value.items()}
            return made | {next(self._next): next(self._next)}
        if isinstance(value, list):
            return [self(item, kept) for item in value]
        return next(self._next) if isinstance(value, str) or value is None else value


def names_of_javascript() -> dict[str, Any]:
    """An object with every name that means something to JavaScript, one of them with what would pollute prototypes."""
    return {name: {"harmed": 1, "isAdmin": True, "__html": MARKUP[0]} for name in NAMES}


def _deep(depth: int) -> Any:
    value: Any = MARKUP[0]
    for level in range(depth):
        value = [value] if level % 2 else {MARKUP[level % len(MARKUP)]: value}
    return value


def sessions() -> dict[str, dict[str, Any]]:
    """Documents by session id."""
    times = ("timestamp", "last_updated", "last_activity", "session_start")
    poison = Poison()
    made = {}
    kept = (*times, "session_id")
    made[PLAIN] = poison(document([0] * 40, PLAIN), kept)
    actions = made[PLAIN]["history"]["actions"]
    for number, text in enumerate(HOSTILE):
        delta = {"page_state": {"visible_items": [{text: text}], text: text}, text: text}
        actions[number + 1] |= {"action": text, "input": {text: text}, "delta": delta, "observation": text}
    actions[-1]["delta"] = names_of_javascript() | {"page_state": names_of_javascript()}
    made[PLAIN] |= names_of_javascript()
    made[TYPES] = poison(document([0] * 12, TYPES), ("session_id",))
    large = document([0] * 3, LARGE, note="<b>" * (BIG // 3), agent_name="\u202e" + "n" * BIG)
    large["history"]["actions"][2] |= {"delta": {"note": "y" * BIG}, "observation": "é" * BIG, "action": "a" * BIG}
    made[LARGE] = large
    made[DEEP] = document([0] * 3, DEEP, page_state=_deep(DEPTH))
    made[DEEP]["history"]["actions"][1]["delta"] = {"page_state": _deep(DEPTH)}
    many = {f"{MARKUP[n % len(MARKUP)]}{n}": n for n in range(MANY)}
    made[WIDE] = document([0] * 3, WIDE, page_state=many)
    made[WIDE]["history"]["actions"][1]["delta"] = {"page_state": many}
    made[WIDE]["history"]["actions"] += [action(t) | {"t": HOSTILE[t % len(HOSTILE)]} for t in range(3, 30)]
    return made


def fill(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """Fill both servers with hostile text, as far as keys and types allow."""
    poison = Poison()
    for session_id, made in sessions().items():
        put(valkey, compact(made), session_id)
    put(valkey, HOSTILE[0].encode(), "sess_bad")
    for text in HOSTILE[:12]:
        for prefix in keys.PREFIXES.values():
            valkey.raw.set(f"{prefix}{text}", compact(poison({"embedding_key": "x", "t": [text]})), ex=900)
    valkey.raw.set(f"{keys.CACHE_PREFIX}{CACHE_KEY}", compact([poison({"id": "x"}), names_of_javascript()]), ex=300)  # type: ignore[arg-type]
    valkey.raw.set(f"{keys.AGENT_PREFIX}{HOSTILE[0]}", PLAIN, ex=300)
    now = datetime.now(UTC)
    for number, text in enumerate(HOSTILE):
        clean = text.replace("\x00", "")
        app = poison({"agentId": "x", "agentName": "x", "route": "x"})
        app = json.loads(json.dumps(app).replace("\\u0000", "").replace("$", "S"))
        times = {"startedAt": now - timedelta(hours=1), "lastActivityAt": now - timedelta(minutes=number)}
        ids = {"_id": f"{number}{clean}", "sessionId": f"sess_app{number}" if number % 2 else clean}
        mongo.sessions.insert_one({**app, **ids, **times, "agentName": clean})
        key = {"name": clean, "permissions": ["read", clean], "key": f"x{number}", "description": clean, "active": True}
        mongo.raw["agentapikeys"].insert_one({**key, "_id": ObjectId(), "createdAt": now})
