"""Invalid input: exit code 2, one line that names the problem, and the data is not changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Cli, unchanged
from support.documents import SESSION_ID, agent_key, compact, document, put, session_key, stored
from support.valkey import ValkeyServer

MEGABYTE = 1_048_576


@pytest.fixture(autouse=True)
def one_session(valkey: ValkeyServer) -> ValkeyServer:
    """A session in the app's layout, and its agent's mapping."""
    put(valkey, compact(document([0, 0])))
    valkey.raw.set(agent_key(), SESSION_ID, ex=1000)
    return valkey


def nested(depth: int) -> bytes:
    """A JSON object with `depth` levels."""
    return b'{"a":' * depth + b"1" + b"}" * depth


def padded(size: int) -> bytes:
    """A delta of exactly `size` bytes."""
    return b'{"a":"%s"}' % (b"x" * (size - 8))


# -- deltas

#: name → (delta, fragment of the message)
DELTAS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "JSON"),
    "white space": (b" \n", "JSON"),
    "truncated": (b'{"a": [1, 2', "JSON"),
    "single quotes": (b"{'a': 1}", "JSON"),
    "trailing comma": (b'{"a":1,}', "JSON"),
    "two values": (b'{"a":1} {"b":2}', "JSON"),
    "comment": (b'{"a":1} // one', "JSON"),
    "an array": (b"[1]", "object"),
    "a string": (b'"a"', "object"),
    "a number": (b"1", "object"),
    "null": (b"null", "object"),
    "NaN": (b'{"a":NaN}', "JSON"),
    "Infinity": (b'{"a":-Infinity}', "JSON"),
    "an infinite number": (b'{"a":1e999}', "JSON"),
    "a lone surrogate": (rb'{"a":"\ud800"}', "surrogate"),
    "a lone surrogate as a key": (rb'{"\udc00x":1}', "JSON"),
    "a surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "UTF-8"),
    "no UTF-8": (b'{"a":"\xff"}', "UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "UTF-8"),
    "NUL": (b'{"a":"\x00"}', "JSON"),
    "nested 201 deep": (nested(201), "200"),
    "nested 100,000 deep": (nested(100_000), "JSON"),
    "a key of the session": (b'{"session_id":"sess_x"}', "session_id"),
    "the trajectory": (b'{"history":{"actions":[]}}', "history"),
}


@pytest.mark.parametrize(("delta", "fragment"), DELTAS.values(), ids=DELTAS)
def test_an_invalid_delta_is_refused(awictl: Cli, valkey: ValkeyServer, delta: bytes, fragment: str) -> None:
    with unchanged(valkey):
        line = awictl("session", "apply", SESSION_ID, "-", stdin=delta).error(2, fragment)
    assert "delta" in line and len(line) < 400


@pytest.mark.parametrize("delta", [b"", b"{", b'{"a":"\xff"}', rb'{"a":"\ud800"}', nested(201)])
def test_an_invalid_delta_in_an_argument_or_a_file_is_refused(awictl: Cli, valkey: ValkeyServer, delta: bytes) -> None:
    (awictl.home / "delta.json").write_bytes(delta)
    with unchanged(valkey):
        awictl("session", "apply", SESSION_ID, delta).error(2, "delta")
        awictl("session", "apply", SESSION_ID, "@delta.json").error(2, "delta")


def test_the_deepest_delta_is_applied(awictl: Cli, valkey: ValkeyServer) -> None:
    awictl.ok("session", "apply", SESSION_ID, "-", stdin=nested(200))
    assert json.loads(stored(valkey))["a"] == json.loads(nested(199))


@pytest.mark.parametrize("way", ["-", "@big.json", "@/dev/zero"])
def test_a_delta_of_20_mb_is_refused_at_once(awictl: Cli, valkey: ValkeyServer, way: str) -> None:
    big = padded(20 * MEGABYTE)
    (awictl.home / "big.json").write_bytes(big)
    with unchanged(valkey):
        result = awictl("session", "apply", SESSION_ID, way, stdin=big if way == "-" else b"")
    result.error(2, "1,048,576", "AWI_MAX_DELTA_BYTES")
    assert result.seconds < 30, "reading /dev/zero would never end"


def test_the_delta_size_limit_is_exact_and_configurable(awictl: Cli, valkey: ValkeyServer) -> None:
    awictl.ok("session", "apply", SESSION_ID, "-", stdin=padded(MEGABYTE))
    for user, limit in ((awictl, MEGABYTE), (awictl.having(AWI_MAX_DELTA_BYTES="64"), 64)):
        with unchanged(valkey):
            user("session", "apply", SESSION_ID, "-", stdin=padded(limit + 1)).error(2, f"{limit:,}")
    larger = awictl.having(AWI_MAX_DELTA_BYTES=str(5 * MEGABYTE))
    larger.ok("session", "apply", SESSION_ID, "-", "-o", "ids", stdin=padded(5 * MEGABYTE))
    assert json.loads(stored(valkey))["a"] == "x" * (5 * MEGABYTE - 8)


def test_the_document_size_limit_is_configurable(awictl: Cli, valkey: ValkeyServer) -> None:
    limited = awictl.having(AWI_MAX_DOCUMENT_BYTES="10000")
    with unchanged(valkey):
        limited("session", "apply", SESSION_ID, "-", stdin=padded(8000)).error(4, "10,000", session_key())
        limited.ok("session", "show", SESSION_ID)
    awictl.ok("session", "apply", SESSION_ID, "-", stdin=padded(8000))
    with unchanged(valkey):
        limited("session", "show", SESSION_ID).error(4, "10,000", "AWI_MAX_DOCUMENT_BYTES")


@pytest.mark.parametrize("file", ["missing.json", ".", "missing/delta.json", "", "x" * 5000])
def test_an_unreadable_delta_file_is_reported(awictl: Cli, valkey: ValkeyServer, file: str) -> None:
    with unchanged(valkey):
        awictl("session", "apply", SESSION_ID, f"@{file}").error(2, f"@{file}"[:20])


# -- options of apply

OPTIONS: dict[str, tuple[list[str | bytes], str]] = {
    "malformed input": (["--input", "{"], "--input"),
    "input of lone surrogates": (["--input", r'"\ud800"'], "--input"),
    "input of no UTF-8": (["--input", b'"\xff"'], "--input"),
    "input of too many bytes": (["--input", '"' + "x" * 100 + '"'], "--input"),
    "no name of an action": (["--action", ""], "action"),
    "an action of no UTF-8": (["--action", b"\xff"], "surrogate"),
    "an observation of no UTF-8": (["--observation", b"\xff"], "surrogate"),
    "an observation of too many bytes": (["--observation", "x" * 100], "observation"),
    "an op_id with a space": (["--op-id", "a b"], "op_id"),
    "an op_id with a quote": (["--op-id", 'a"b'], "op_id"),
    "an empty op_id": (["--op-id", ""], "op_id"),
    "an op_id of 200 characters": (["--op-id", "x" * 200], "op_id"),
}


@pytest.mark.parametrize(("words", "fragment"), OPTIONS.values(), ids=OPTIONS)
def test_an_invalid_option_of_apply_is_refused(
    awictl: Cli, valkey: ValkeyServer, words: list[str | bytes], fragment: str
) -> None:
    with unchanged(valkey):
        awictl.having(AWI_MAX_DELTA_BYTES="64")("session", "apply", SESSION_ID, "{}", *words).error(2, fragment)


def test_nothing_to_apply_is_refused(awictl: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        awictl("session", "apply", SESSION_ID).error(2, "DELTA", "--action")


# -- ids

IDS: dict[str, str | bytes] = {
    "empty": "",
    "no prefix": "1d921b557fb54766a6fb4f1a4add6392",
    "prefix alone": "sess_",
    "a path": "../x",
    "a pattern": "sess_*",
    "a space": "sess_a b",
    "a newline": "sess_a\n",
    "another key": "sess_x:AWI:SESSION:sess_y",
    "letters beyond ASCII": "sess_é",
    "digits beyond ASCII": "sess_१",
    "65 characters": "sess_" + "x" * 65,
    "10 kB": "sess_" + "x" * 10_000,
    "escape sequences": "sess_\x1b[31m",
    "no UTF-8": b"sess_\xff",
}
#: Commands that take a session id, with their other arguments.
TAKING_IDS: dict[str, list[str]] = {"show": [], "apply": ["{}"], "diff": [], "history": [], "touch": []}


@pytest.mark.parametrize("bad", IDS.values(), ids=IDS)
def test_an_invalid_session_id_is_refused(awictl: Cli, valkey: ValkeyServer, bad: str | bytes) -> None:
    with unchanged(valkey):
        assert len(awictl("session", "show", bad).error(2, "not a session id")) < 250


@pytest.mark.parametrize(
    "line", [b"../x", b"sess_*", b"sess_\xff", b"sess_a\0b", b"sess_" + b"x" * 10_000, b"\xff\xfe"]
)
def test_an_invalid_id_on_stdin_does_not_stop_the_others(awictl: Cli, valkey: ValkeyServer, line: bytes) -> None:
    put(valkey, compact(document([0], session_id="sess_a")), "sess_a", seconds=10)
    result = awictl("session", "touch", "-", stdin=line + b"\nsess_a\n")
    assert len(result.error(2, "not a session id")) < 250
    assert [row["session_id"] for row in result.rows] == ["sess_a"]
    assert valkey.raw.ttl(session_key("sess_a")) > 1000


@pytest.mark.parametrize("command", TAKING_IDS)
def test_each_command_refuses_an_invalid_session_id(awictl: Cli, valkey: ValkeyServer, command: str) -> None:
    with unchanged(valkey):
        awictl("session", command, "../x", *TAKING_IDS[command]).error(2, "'../x'", "sess_")


def test_each_invalid_id_is_named(awictl: Cli) -> None:
    result = awictl("session", "show", "../x", SESSION_ID, "sess_*")
    assert result.code == 2 and len(result.rows) == 1
    assert [line[:20] for line in result.err.splitlines()] == ["awictl: '../x' is no", "awictl: 'sess_*' is "]


@pytest.mark.parametrize("text", [b"", b" \n\t\n"])
def test_empty_stdin_is_refused(awictl: Cli, text: bytes) -> None:
    for command in ("show", "touch"):
        awictl("session", command, "-", stdin=text).error(2, "no id")


@pytest.mark.parametrize("agent", ["", "a\nb", "a\x1b[31m", "x" * 257, b"\xff"])
def test_an_invalid_agent_id_is_refused(awictl: Cli, valkey: ValkeyServer, agent: str | bytes) -> None:
    with unchanged(valkey):
        awictl("agent", "session", agent).error(2, "not an agent id")
        awictl("session", "create", "--agent", agent).error(2, "not an agent id")


@pytest.mark.parametrize("option", ["--name", "--route"])
def test_text_that_is_not_utf8_is_refused(awictl: Cli, valkey: ValkeyServer, option: str) -> None:
    with unchanged(valkey):
        awictl("session", "create", "--agent", "a", option, b"\xff").error(2, "surrogate")


# -- usage errors

USAGE: dict[str, tuple[str, str]] = {
    "unknown command": ("sesion list", "sesion"),
    "unknown subcommand": ("session lst", "lst"),
    "unknown option": ("session list --agnet x", "--agnet"),
    "unknown global option": ("--frobnicate session list", "--frobnicate"),
    "missing value": ("session list --limit", "--limit"),
    "missing id": ("session show", "ID"),
    "missing agent": ("session create", "--agent"),
    "too many arguments": ("session history sess_a sess_b", "sess_b"),
    "output": ("session list -o xml", "xml"),
    "limit of 0": ("session list --limit 0", "--limit"),
    "limit of text": ("session list --limit many", "'many' is not an integer"),
    "offset below 0": ("session history sess_a --offset -1", "--offset"),
    "sort": ("session list --sort size", "--sort"),
    "reverse alone": ("session list --reverse", "--sort"),
    "idle": ("session list --idle soon", "--idle"),
    "idle without a unit": ("session list --idle 20", "20m"),
    "idle below 0": ("session list --idle=-5m", "--idle"),
    "timeout of text": ("health --timeout soon", "'soon' is not a number"),
    "timeout of 0": ("health --timeout 0", "--timeout"),
    "timeout below 0": ("health --timeout=-1", "--timeout"),
    "timeout that is not a number": ("health --timeout nan", "--timeout"),
    "rate of 0": ("session list --rate 0", "--rate"),
    "rate that is not a number": ("keys list --rate nan", "--rate"),
    "infinite rate": ("doctor --rate inf", "--rate"),
    "seconds that are not a number": ("monitor --seconds nan", "--seconds"),
    "infinite interval": ("top --interval inf", "--interval"),
    "interval that is too short": ("top --interval 10ms", "--interval"),
    "interval of text": ("session watch sess_a --interval soon", "--interval"),
    "interval without follow": ("session history sess_a --interval 1s", "--follow"),
    "seconds without follow": ("session history sess_a --seconds 1", "--follow"),
    "not a Redis URL": ("health --redis http://localhost", "--redis"),
    "empty URL": ("health --redis=", "--redis"),
    "URL with an invalid port": ("health --redis redis://localhost:99999", "port"),
    "URL with an invalid database": ("health --redis redis://localhost/x", "'x'"),
    "two servers": ("session list --embedded --redis redis://localhost", "--embedded"),
}


@pytest.mark.parametrize(("words", "fragment"), USAGE.values(), ids=USAGE)
def test_a_usage_error_is_one_line(awictl: Cli, valkey: ValkeyServer, words: str, fragment: str) -> None:
    with unchanged(valkey):
        awictl(*words.split()).error(2, fragment)


def test_arguments_that_are_not_utf8(awictl: Cli) -> None:
    awictl(b"\xff").error(2)
    awictl("session", "list", b"--\xff").error(2)
    awictl("session", "show", b"@\xff").error(2)
    awictl("session", "apply", SESSION_ID, b"@\xff").error(2)
    awictl("--profile", b"\xff", "health").error(2)
    assert awictl.ok("session", "list", "--route", b"\xff*").out == b""


@pytest.mark.parametrize(
    "words",
    [
        ["session", "create", "--agent", "b", "-o", "raw"],
        ["session", "apply", SESSION_ID, '{"n":1}', "-o", "raw"],
        ["session", "touch", SESSION_ID, "-o", "raw"],
    ],
    ids=lambda words: words[1],
)
def test_an_unsupported_output_format_is_refused_before_anything_is_written(
    awictl: Cli, valkey: ValkeyServer, words: list[str]
) -> None:
    with unchanged(valkey):
        awictl(*words).error(2, "raw")


def test_an_expired_session_is_not_found(awictl: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.pexpire(session_key(), 1)
    while valkey.raw.exists(session_key()):
        pass
    with unchanged(valkey):
        for command, more in TAKING_IDS.items():
            awictl("session", command, SESSION_ID, *more).error(3, SESSION_ID, "expired")


def test_an_env_file_that_is_not_text(awictl: Cli) -> None:
    Path(awictl.home / ".env").write_bytes(b"REDIS_HOST=\xff\xfe\n")
    awictl("health").error(2, ".env")
