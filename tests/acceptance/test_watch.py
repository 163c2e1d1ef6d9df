"""`session watch` and `session history --follow`, in a pseudo-terminal and in a pipe."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from support.cli import LIMIT_SECONDS, Cli
from support.documents import SESSION_ID, compact, document, put, session_key
from support.terminal import CTRL_C, CTRL_Z, HIDE_CURSOR, SHOW_CURSOR, on_terminal
from support.valkey import ValkeyServer
from support.waiting import suspend

WORDS = ["session", "watch", SESSION_ID, "--interval", "0.5"]
WIDE = "文字幅 🙂 ｆｕｌｌ"
HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e[red]"
#: Escape sequences for colors; bold and dim are not colors.
_COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m")


@pytest.fixture(autouse=True)
def one_session(valkey: ValkeyServer) -> ValkeyServer:
    put(valkey, compact(document([0, 0])))
    return valkey


def act(awictl: Cli, action: str, route: str = "/next", *words: str) -> None:
    delta = json.dumps({"page_state": {"route": route}})
    awictl.ok("session", "apply", SESSION_ID, delta, "--action", action, *words)


def marked(text: str) -> list[str]:
    """The first word of each marked line."""
    lines = (line.split() for line in text.splitlines())
    return [words[1] for words in lines if words[:1] == ["*"] and len(words) > 1]  # a line may be drawn in part


@pytest.mark.parametrize("columns", [80, 200])
def test_changes_are_marked(awictl: Cli, columns: int) -> None:
    with on_terminal(awictl, *WORDS, "--interval", "0.7", columns=columns) as terminal:
        text = terminal.until("next_page", SESSION_ID, "BrowserUseAgent")
        assert marked(text) == []
        act(awictl, "press", "/pressed")
        # the field and the new action
        text = terminal.until(lambda text: {"route", "2"} <= set(marked(text)), "/pressed")
        assert "agent" not in marked(text)
        if columns == 80:
            terminal.until(lambda text: "/pressed" in text and marked(text) == [])
        assert all(cell_len(line) <= columns for line in terminal.lines)
        # the screen is redrawn in place
        assert terminal.text.count(SESSION_ID) == 1
        terminal.press(CTRL_C)
        assert terminal.end() == 130


@pytest.mark.parametrize("how", ["key", "signal"])
def test_ctrl_c_restores_the_terminal(awictl: Cli, how: str) -> None:
    with on_terminal(awictl, *WORDS) as terminal:
        terminal.until("next_page")
        assert HIDE_CURSOR in terminal.sent
        if how == "key":
            terminal.press(CTRL_C)
        else:
            terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.sent.rindex(SHOW_CURSOR) > terminal.sent.rindex(HIDE_CURSOR)
    assert terminal.sent.endswith(b"awictl: interrupted\r\n") and b"Traceback" not in terminal.sent
    assert "next_page" in terminal.text, "what was shown last stays"


@pytest.mark.parametrize("columns", [80, 200])
def test_wide_and_hostile_text(awictl: Cli, valkey: ValkeyServer, columns: int) -> None:
    made = document([0], agent_name=HOSTILE)
    made["page_state"]["route"] = f"/{WIDE}/" + "long/" * 40
    made["history"]["actions"][0] |= {"action": WIDE, "observation": HOSTILE + WIDE * 20}
    put(valkey, compact(made))
    with on_terminal(awictl, *WORDS, columns=columns) as terminal:
        terminal.until("\\x1b[2J", "[red]", "文字幅")
        act(awictl, HOSTILE)
        terminal.until(lambda text: "1" in marked(text))
        assert all(cell_len(line) <= columns for line in terminal.lines)
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert b"\x1b[2J" not in terminal.sent and b"\x1b]0;x" not in terminal.sent
    assert "\u202e".encode() not in terminal.sent


def test_a_resized_terminal_is_used_from_the_next_poll_on(awictl: Cli, valkey: ValkeyServer) -> None:
    made = document([0])
    made["history"]["actions"][0]["observation"] = "seen " * 30 + "the end"
    put(valkey, compact(made))
    with on_terminal(awictl, *WORDS, columns=80) as terminal:
        assert "the end" not in terminal.until("next_page")
        terminal.resize(240)
        terminal.until("the end")
        terminal.resize(80)
        terminal.until(lambda text: "next_page" in text and "the end" not in text)
        terminal.press(CTRL_C)
        assert terminal.end() == 130


def test_very_long_text_does_not_push_the_actions_out(awictl: Cli, valkey: ValkeyServer) -> None:
    made = document([0], agent_name="x" * 1_000_000)
    made["page_state"]["filters"] = {"y" * 500_000: "z"}
    made["history"]["actions"][0]["observation"] = "o" * 1_000_000
    put(valkey, compact(made))
    with on_terminal(awictl, *WORDS, rows=24) as terminal:
        terminal.until("session_start", lambda text: "characters)" in re.sub(r"\s", "", text))
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert len(terminal.sent) < 20_000, "and it is not printed in full at the end"


def test_the_newest_actions_are_shown_on_a_small_terminal(awictl: Cli) -> None:
    with on_terminal(awictl, *WORDS, columns=40, rows=10) as terminal:
        terminal.until("next_pa", SESSION_ID)
        act(awictl, "press")
        terminal.until("press")
        terminal.resize(80, 6)
        terminal.until(lambda text: "press" in text)
        terminal.press(CTRL_C)
        assert terminal.end() == 130


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_restores_the_terminal(awictl: Cli, number: signal.Signals, code: int) -> None:
    with on_terminal(awictl, *WORDS) as terminal:
        terminal.until("next_page")
        terminal.process.kill(number)
        assert terminal.end() == code
    assert terminal.sent.rindex(SHOW_CURSOR) > terminal.sent.rindex(HIDE_CURSOR)
    assert b"Traceback" not in terminal.sent


def test_suspending_restores_the_terminal(awictl: Cli) -> None:
    """Ctrl-Z, and `fg`."""
    with on_terminal(awictl, *WORDS, script='"$@"; read; fg; echo "code $?"') as terminal:
        terminal.until("next_page")
        terminal.press(CTRL_Z)
        terminal.until("Stopped")
        assert terminal.sent.rindex(SHOW_CURSOR) > terminal.sent.rindex(HIDE_CURSOR)
        act(awictl, "press")
        terminal.press("\n")
        terminal.until(lambda text: "2" in marked(text))
        terminal.press(CTRL_C)
        terminal.until("code 130")
        assert terminal.end() == 0


def test_no_color_disables_colors(awictl: Cli) -> None:
    def coloured(user: Cli, *words: str) -> bool:
        with on_terminal(user, *WORDS, "--seconds", "0.3", *words) as terminal:
            assert terminal.end() == 0
        return _COLOUR.search(terminal.sent) is not None

    assert not coloured(awictl.having(NO_COLOR="1")) and not coloured(awictl, "--no-color")


def test_a_dumb_terminal_gets_lines(awictl: Cli) -> None:
    with on_terminal(awictl.having(TERM="dumb"), *WORDS, columns=200) as terminal:
        terminal.until("next_page")
        act(awictl, "press")
        terminal.until("press", lambda text: re.search(r'/page_state/route = ("/next"|/next)', text) is not None)
        terminal.interrupt()
        assert terminal.end() == 130
    assert b"\x1b" not in terminal.sent


def test_it_reconnects_after_the_server_was_down(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    put(server, compact(document([0])))
    with on_terminal(user.having(REDIS_SOCKET=str(server.socket)), *WORDS, columns=200) as terminal:
        terminal.until("next_page")
        suspend(terminal.process.pid)  # it must not see the changed session before, nor a server without it
        put(server, compact(document([0, 0, 0])))
        server.raw.save()
        server.kill()
        terminal.process.kill(signal.SIGCONT)
        terminal.until("(retrying)", "! not current")
        server.start()
        terminal.until("can be read again", lambda text: "2" in marked(text) and "not current" not in text)
        terminal.press(CTRL_C)
        assert terminal.end() == 130


def test_it_ends_when_the_session_is_gone(awictl: Cli, valkey: ValkeyServer) -> None:
    with on_terminal(awictl, *WORDS, columns=200) as terminal:
        terminal.until("next_page")
        valkey.raw.delete(session_key())
        assert terminal.end() == 0
    assert "is gone" in terminal.text and "next_page" in terminal.text
    assert terminal.sent.rindex(SHOW_CURSOR) > terminal.sent.rindex(HIDE_CURSOR)


def test_changes_are_printed_as_lines_in_a_pipe(awictl: Cli, valkey: ValkeyServer) -> None:
    process = awictl.start(*WORDS)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["event"] == "session" and first["state"]["session_id"] == SESSION_ID and first["total"] == 2
    act(awictl, "press")
    second = json.loads(process.stdout.readline())
    assert (second["event"], second["total"], second["removed"]) == ("change", 3, [])
    assert second["delta"]["page_state"] == {"route": "/next"}
    assert [one["action"] for one in second["actions"]] == ["press"]
    valkey.raw.delete(session_key())
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert json.loads(out)["event"] == "gone" and process.returncode == 0
    assert err.decode().startswith(f"session {SESSION_ID} is gone: it expired, was ended or was deleted")


def test_history_follow_prints_new_actions(awictl: Cli) -> None:
    process = awictl.start("session", "history", SESSION_ID, "--follow", "--limit", "1", "--interval", "0.05")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["t"] == 1
    for number in range(3):
        act(awictl, f"press {number}")
    assert [json.loads(process.stdout.readline())["action"] for _ in range(3)] == [f"press {one}" for one in range(3)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert (out, err, process.returncode) == (b"", b"awictl: interrupted\n", 130)


def test_it_ends_when_its_reader_closes_the_pipe(awictl: Cli) -> None:
    process = awictl.start("session", "history", SESSION_ID, "-f", "--interval", "0.05")
    assert process.stdout is not None and process.stdout.readline()
    process.stdout.close()
    act(awictl, "press")
    assert process.wait(LIMIT_SECONDS) == 141
    assert process.stderr is not None and process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize(
    "words", [["watch", SESSION_ID], ["history", SESSION_ID, "--follow"]], ids=lambda words: words[0]
)
def test_it_ends_although_nothing_more_is_printed(awictl: Cli, words: list[str]) -> None:
    process = awictl.start("session", *words, "--interval", "0.05")
    assert process.stdout is not None and process.stdout.readline()
    process.stdout.close()
    assert process.wait(LIMIT_SECONDS) == 141
    assert process.stderr is not None and process.stderr.read() == b""
    process.stderr.close()


def test_it_stops_after_the_given_number_of_seconds(awictl: Cli) -> None:
    for words in (WORDS, ["session", "history", SESSION_ID, "--follow"]):
        result = awictl.ok(*words, "--seconds", "0.3")
        assert result.seconds >= 0.3 and result.rows


def test_a_missing_session_is_reported(awictl: Cli) -> None:
    for words in (["watch", "sess_missing"], ["history", "sess_missing", "--follow"]):
        awictl("session", *words).error(3, "sess_missing")
