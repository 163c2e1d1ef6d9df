"""Output on a terminal: commands in a pseudo-terminal."""

from __future__ import annotations

import re
import socket
import sys
import warnings
from collections.abc import Sequence

import pexpect
import pytest
from rich.cells import cell_len
from support.cli import LIMIT_SECONDS, Cli, without_progress
from support.documents import SESSION_ID, compact, document, put
from support.terminal import on_terminal
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

#: Allowed escape sequences: colors and styles, but no cursor movement.
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
IMAGE_ID = "文字 🙂"
CACHE_KEY = "0" * 32
WIDE = "文字幅 🙂👩‍👩‍👧 ｆｕｌｌ é"


def spawn(user: Cli, words: Sequence[str], columns: int = 200) -> pexpect.spawn:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12+ warns about forkpty in a process with threads
        return pexpect.spawn(
            sys.executable,
            ["-m", "awictl", *words],
            cwd=str(user.home),
            env=user.env,
            dimensions=(40, columns),
            timeout=LIMIT_SECONDS,
            encoding="utf-8",
        )


def screen(user: Cli, *words: str, columns: int = 200, code: int = 0) -> str:
    """The output of a command on a terminal, with escape sequences."""
    with on_terminal(user, *words, columns=columns, rows=40) as terminal:
        assert terminal.end() == code, terminal.text
    text = without_progress(terminal.sent).decode().replace("\r\n", "\n")
    assert "\x1b" not in _STYLE.sub("", text) and "\r" not in text
    return text


def plain(text: str) -> str:
    """The text without escape sequences."""
    return _STYLE.sub("", text)


@pytest.fixture
def wild_session(valkey: ValkeyServer) -> ValkeyServer:
    """A session whose texts have characters of all widths."""
    made = document([0, 0], agent_name=WIDE)
    made["page_state"]["route"] = f"/{WIDE}/" + "long/" * 40
    made["history"]["actions"][1] |= {"action": WIDE, "observation": WIDE * 20, "input": {WIDE: WIDE}}
    put(valkey, compact(made))
    put(valkey, encode(document([0], "sess_other")), "sess_other")
    valkey.raw.set(f"AWI:CACHE:LIST:{CACHE_KEY}", compact([WIDE]), ex=300)
    valkey.raw.set(f"MEDIA:IMG:{IMAGE_ID}", compact({"thumbnail": f"https://x/{WIDE}" + "long" * 40}), ex=300)
    valkey.raw.set(f"AWI:CACHE:LIST:{WIDE}" + "long" * 40, b"{")
    valkey.raw.set(f"AGENT:SESSION:{WIDE}", "sess_gone")
    return valkey


COMMANDS = [
    ["session", "list"],
    ["session", "list", "--sort", "agent"],
    ["session", "show", SESSION_ID],
    ["session", "history", SESSION_ID],
    ["session", "diff", SESSION_ID, "sess_other"],
    ["session", "apply", SESSION_ID, '{"文字":"🙂"}', "--action", "x"],
    ["session", "touch", SESSION_ID, "sess_other"],
    ["cache", "list"],
    ["cache", "show", CACHE_KEY],
    ["cache", "diagnose", "--filters", '{"文字":"🙂"}'],
    ["media", "show", IMAGE_ID],
    ["media", "list"],
    ["keys", "list"],
    ["keys", "ttl"],
    ["keys", "stats"],
    ["doctor"],
    ["config", "show"],
    ["health"],
    ["--help"],
]


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_every_table_fits_the_terminal(awictl: Cli, wild_session: ValkeyServer, words: list[str], columns: int) -> None:
    text = plain(screen(awictl, *words, columns=columns))
    is_json = text.lstrip().startswith(("{", "["))
    assert text.strip() and is_json is (words[:2] == ["cache", "show"]), "a table, except for commands that print JSON"
    # a word without a break opportunity may exceed the width
    lines = [line for line in text.splitlines() if not line.startswith(("profile: ", "warning: "))]
    assert max(map(cell_len, lines)) <= columns, text


@pytest.mark.parametrize("columns", [80, 200])
def test_ids_can_be_copied(awictl: Cli, valkey: ValkeyServer, columns: int) -> None:
    """An id that is wrapped cannot be copied into the next command."""
    session_id = awictl.ok("session", "create", "--agent", "browser-1", "-o", "ids", "-q").text.strip()
    for words in (["session", "list"], ["session", "show", session_id], ["agent", "session", "browser-1"]):
        assert session_id in plain(screen(awictl, *words, columns=columns))


def test_a_table_on_a_terminal_and_json_in_a_pipe(awictl: Cli, wild_session: ValkeyServer) -> None:
    assert "SESSION" in screen(awictl, "session", "list")
    assert awictl.ok("session", "list").rows[0].keys() >= {"session_id", "ttl_ms"}
    text = screen(awictl, "session", "show", SESSION_ID, "-o", "json")
    assert '"session_id":' in text and "\x1b" not in text


def test_colors_are_used_only_where_they_are_enabled(awictl: Cli, wild_session: ValkeyServer) -> None:
    for words in (["session", "list"], ["session", "show", SESSION_ID]):
        assert "\x1b[" in screen(awictl, *words)
        assert "\x1b" not in screen(awictl.having(TERM="dumb"), *words)
        for text in (screen(awictl.having(NO_COLOR="1"), *words), screen(awictl, "--no-color", *words)):
            # bold and dim are not colors
            assert {code for codes in _STYLE.findall(text) for code in re.findall("[0-9]+", codes)} <= set("0123")


def test_errors_on_a_terminal(awictl: Cli, valkey: ValkeyServer) -> None:
    text = screen(awictl, "session", "show", "sess_missing", columns=80, code=3)
    assert text.startswith("awictl: ") and text.count("\n") == 1 and "\x1b" not in text


def test_ctrl_c_on_a_terminal(waiting: Cli, silent_server: socket.socket) -> None:
    process = spawn(waiting, ["--timeout", "30", "session", "list"])
    connection, _ = silent_server.accept()
    with connection:
        assert connection.recv(10)
        process.sendintr()
        process.expect(pexpect.EOF)
    process.close()
    assert process.exitstatus == 130
    assert "awictl: interrupted" in process.before and "Traceback" not in process.before


def test_the_demo_on_a_terminal(laptop: Cli) -> None:
    text = plain(screen(laptop, "demo", columns=80))
    ended_id, session_id = dict.fromkeys(re.findall("sess_[0-9a-f]{32}", text))
    assert session_id in plain(screen(laptop, "--embedded", "session", "list", columns=80))
    # commands to copy are not wrapped
    hints = [line for line in text.splitlines() if line.startswith("  awictl ")]
    assert f"  awictl --embedded session show {session_id}" in hints
    assert f"  awictl --embedded archive show {ended_id}" in hints
    assert f"  awictl --embedded session replay {ended_id}" in hints
    assert f"  awictl --embedded session show {ended_id} --at 2" in hints
