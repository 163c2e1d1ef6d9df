"""Hostile text in every field of every view: nothing that a store, a server or a file holds controls the terminal."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from support.cli import Cli
from support.documents import SESSION_ID, compact, document, put
from support.mongo import MongoServer
from support.terminal import on_terminal
from support.valkey import ValkeyServer

from awictl.cli import main

CLI = Path(main.__file__).parent
#: ESC (CSI and OSC), BEL, C1 (CSI), DEL, right-to-left override, line separator, newlines, a lone surrogate.
HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\x7f\u202e\u2028\r\nawictl: forged line\n\ud83d[bold]"
KEY = "0" * 32
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_FORBIDDEN = frozenset(map(chr, [*range(10), *range(11, 32), *range(127, 160)])) | set("\u202e\u2028\ufffd")


def poisoned(value: Any) -> Any:
    """The same JSON with hostile text in every string, and a hostile name beside every field."""
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()} | {HOSTILE: HOSTILE}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) or value is None else value


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def victim(awictl: Cli, valkey: ValkeyServer, mongo: MongoServer) -> Cli:
    """A user whose stores are full of hostile text, as far as keys and types allow."""
    made = document([0] * 12)
    text = HOSTILE.replace("\ud83d", "")
    bad = poisoned(made)
    put(valkey, encoded(bad | {"session_id": SESSION_ID, "agent_id": text}))
    put(valkey, encoded(bad | {"session_id": "sess_other"}), "sess_other")
    put(valkey, b"\x1b[2J\x9b{", "sess_bad")
    ended = document([0], "sess_ended")
    ended["history"]["last_action"]["action"] = "session_end"
    put(valkey, compact(ended), "sess_ended")
    delta = {"delta": poisoned(made["page_state"]), "action": poisoned(made["history"]["actions"][0])}
    valkey.raw.set(f"AWI:DIFF:{SESSION_ID}", encoded(delta), ex=300)
    valkey.raw.set("AGENT:SESSION:browser-1", SESSION_ID, ex=300)
    for name in ("AWI:CACHE:LIST:", "MEDIA:IMG:", "MEDIA:EMBED:", "AWI:DIFF:", "AGENT:SESSION:", "LOCK:SESSION:"):
        valkey.raw.set(
            (name + HOSTILE).encode("utf-8", "surrogatepass"), encoded(poisoned({"embedding_key": "x"})), ex=300
        )
    valkey.raw.set(f"AWI:CACHE:LIST:{KEY}", encoded([poisoned({"id": "x"})]), ex=300)
    image = {"thumbnail_url": HOSTILE, "full_url": HOSTILE, "embedding_key": "post_1", HOSTILE: HOSTILE}
    valkey.raw.set("MEDIA:IMG:post_1", encoded(image), ex=300)
    app = poisoned({"_id": "x", "sessionId": "x", "agentId": "x", "agentName": "x", "startedAt": "x"})
    clean = json.loads(json.dumps(app).replace("\\ud83d", ""))
    times = {"startedAt": datetime(2026, 1, 1, tzinfo=UTC), "lastActivityAt": datetime(2026, 1, 1, tzinfo=UTC)}
    mongo.sessions.insert_one(clean | {"_id": text, "sessionId": "sess_app"} | times)
    mongo.sessions.insert_one(clean | {"_id": "2" + text, "sessionId": text} | times)
    key = {"name": text, "permissions": ["read", text], "key": "x", "description": text, "active": True}
    mongo.raw["agentapikeys"].insert_many([key | {"_id": ObjectId()}, key | {"_id": text, "key": "y"}])
    return awictl.having(MONGODB_URI=mongo.uri)


VIEWS = [
    ["session", "list"],
    ["session", "list", "-o", "wide"],
    ["session", "show", SESSION_ID],
    ["session", "show", SESSION_ID, "sess_other", "sess_bad", "sess_app"],
    ["session", "show", "sess_bad", "-o", "raw"],
    ["session", "history", SESSION_ID],
    ["session", "history", SESSION_ID, "--follow", "--seconds", "0.1"],
    ["session", "watch", SESSION_ID, "--seconds", "0.1"],
    ["session", "diff", SESSION_ID],
    ["session", "diff", SESSION_ID, "sess_other", "--all"],
    ["session", "touch", SESSION_ID],
    ["session", "apply", SESSION_ID, "{}", "--action", "x"],
    ["session", "end", "--dry-run", SESSION_ID],
    ["agent", "list"],
    ["agent", "show", "nobody"],
    ["agent", "session", "browser-1"],
    ["cache", "list"],
    ["cache", "show", KEY],
    ["cache", "diagnose", "--filters", '{"a":1}'],
    ["cache", "delete", "--dry-run", KEY],
    ["media", "list"],
    ["media", "show", "post_1", "--full"],
    ["media", "similar", "post_1"],
    ["keys", "list"],
    ["keys", "ttl"],
    ["keys", "stats"],
    ["archive", "list"],
    ["archive", "show", "sess_app"],
    ["archive", "stats"],
    ["archive", "export"],
    ["archive", "sweep", "--dry-run"],
    ["archive", "restore", "sess_app"],
    ["doctor"],
    ["doctor", "--fix", "--dry-run"],
    ["top", "--seconds", "0.1", "-o", "table"],
    ["health"],
]


LISTS = [["session", "list"], ["keys", "list"], ["agent", "list"], ["archive", "list"]]
LISTS += [["session", "history", SESSION_ID], ["cache", "list"], ["media", "list"]]


def assert_harmless(text: str) -> None:
    text = _STYLE.sub("", text)
    assert not _FORBIDDEN & set(text), sorted(_FORBIDDEN & set(text))
    assert not re.search(r"^awictl: forged", text, re.MULTILINE)


def test_no_view_passes_hostile_text_to_the_terminal(victim: Cli) -> None:
    user = victim.having(TERM="dumb")
    for words in VIEWS:
        for form in ([], ["-o", "json"]) if "-o" not in words else ([],):
            result = user.on_screen(*words, *form, "--verbose")
            assert result.text and "awictl: unexpected" not in result.text, words
            assert_harmless(result.text)


def test_no_format_passes_hostile_text_to_the_terminal(victim: Cli) -> None:
    for words in LISTS:
        for form in (["-o", "yaml"], ["-o", "csv"], ["-o", "jsonl"], ["-o", "ids"], ["--jq", "."]):
            if form != ["-o", "ids"] or words[1] == "list":
                assert_harmless(user_text := victim.on_screen(*words, *form).text)
                assert user_text, (words, form)


def test_no_file_controls_the_terminal(awictl: Cli) -> None:
    profile = json.dumps(HOSTILE.replace("\ud83d", ""))
    awictl.configure(
        f"[profiles.{profile}]\nredis_url = {profile}\n[profiles.ok]\n{profile} = 1\nmongodb_uri = {profile}\n"
    )
    for words in (["config", "profiles"], ["config", "show"], ["config", "show", "--profile", "ok"]):
        for form in ("table", "json", "yaml", "csv"):
            assert_harmless(awictl.on_screen(*words, "-o", form, "--verbose").text)
    (awictl.home / "delta.json").write_bytes(HOSTILE.encode("utf-8", "replace"))
    assert_harmless(awictl.on_screen("session", "apply", SESSION_ID, "@delta.json").text)
    assert_harmless(awictl.on_screen("session", "show", "\x1b[2J\n\u202e").text)


def test_live_views_escape_hostile_text(victim: Cli) -> None:
    """These redraw the screen with control sequences of their own, but must not print those of a session."""
    for words in (["session", "watch", SESSION_ID], ["top"]):
        with on_terminal(victim, *words, columns=200) as terminal:
            terminal.until("x9b31m")
            sent = terminal.sent.decode("utf-8", "replace")
        assert not {"\x9b", "\u202e", "\u2028"} & set(sent) and "\x1b]0;title" not in sent
        assert "\nawictl: forged" not in terminal.text


def test_json_on_a_terminal_is_equal_data(victim: Cli) -> None:
    on_screen = victim.on_screen("session", "show", SESSION_ID, "-o", "json")
    assert json.loads(on_screen.text) == victim.ok("session", "show", SESSION_ID).json
    victim.ok("session", "create", "--agent", "browser-2", "--name", "\u202e")
    assert "\u202e" in victim.ok("session", "list", "--agent", "browser-2").text, "a pipe gets the bytes as they are"
    assert "\\u202e" in victim.on_screen("session", "list", "--agent", "browser-2", "-o", "jsonl").text


def test_log_messages_and_tracebacks_are_escaped(victim: Cli) -> None:
    script = (
        "import logging, sys; from awictl.cli.framework.log_format import configure_logging;"
        "configure_logging(sys.stderr, logging.INFO);"
        "log = logging.getLogger('x'); text = 'a\\x1b[2J\\x9b\\u202e\\nawictl: forged';"
        "log.warning('%s', text)\ntry: raise ValueError(text)\nexcept ValueError: log.exception(text)"
    )
    result = victim.python("-c", script)
    assert result.code == 0
    assert_harmless(result.err)
    assert result.err.startswith("awictl: a\\x1b[2J\\x9b\\u202e\\nawictl: forged\n") and "Traceback" in result.err


def test_nothing_prints_past_the_escaping_functions() -> None:
    """Views return data; only these modules print. So no view can forget to escape what it shows."""
    doors = {f"framework/{name}.py" for name in ("stdout", "output", "error_report", "confirm", "log_format")}
    doors |= {
        "framework/root.py",
        "main.py",
        "reference/__main__.py",
        "help/command.py",
        "version/command.py",
        "completion/command.py",
    }
    doors |= {"config/init.py", "completion/values.py"}  # a file; names for the shell, which does not print them
    printing = {"print", "echo", "secho", "Console", "basicConfig", "print_exception", "StreamHandler", "write"}
    console = ("ctx.out.console().print(", "console.print(", "write(")  # these are the doors
    for path in CLI.rglob("*.py"):
        if str(path.relative_to(CLI)) in doors:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in printing:
                assert ast.unparse(node).startswith(console), f"{path}: {ast.unparse(node)}"
