"""`awictl top`: the full screen in a pseudo-terminal, and lines elsewhere."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from support.cli import Cli, finish, unchanged
from support.documents import SESSION_ID, diff_key, document, put, session_key
from support.terminal import (
    CTRL_C,
    CTRL_Z,
    ENTER,
    ENTER_SCREEN,
    ESCAPE,
    LEAVE_SCREEN,
    SHOW_CURSOR,
    Terminal,
    on_terminal,
)
from support.valkey import ValkeyServer
from support.waiting import suspend

from awictl.document.byte_layout import encode
from awictl.document.timestamps import timestamp

HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e[red]文字🙂"
WORDS = ["top", "--interval", "0.2"]


def active(
    server: ValkeyServer, name: str, minutes: float, failed: int = 0, total: int = 3, seconds: int = 1000
) -> None:
    """Store a session of agent NAME, last active `minutes_ago`."""
    made = document([0] * total, f"sess_{name}", agent_name=f"agent {name}")
    made["statistics"] |= {"total_actions": total, "failed_actions": failed}
    made["statistics"]["last_activity"] = timestamp(datetime.now(UTC) - timedelta(minutes=minutes))
    made["page_state"]["route"] = f"/{name}/posts"
    put(server, encode(made), f"sess_{name}", seconds)


@pytest.fixture
def three(valkey: ValkeyServer) -> ValkeyServer:
    """Sessions a, b and c: by activity a, b, c; by failures c, a, b; by expiry b, c, a."""
    active(valkey, "aaa", 1, failed=2, seconds=1700)
    active(valkey, "bbb", 5, failed=0, seconds=115)
    active(valkey, "ccc", 9, failed=3, seconds=900)
    return valkey


def order_of(text: str) -> list[str]:
    return re.findall(r"^sess_(\w+)", text, re.MULTILINE)


@pytest.fixture
def top(awictl: Cli, three: ValkeyServer) -> Iterator[Terminal]:
    with on_terminal(awictl, *WORDS) as terminal:
        terminal.until(lambda text: order_of(text) == ["aaa", "bbb", "ccc"])
        yield terminal


def test_keys_sort_filter_open_and_quit(top: Terminal, three: ValkeyServer) -> None:
    top.until("3\xa0sessions", "sorted by activity", "memory", "MiB", "1\xa0expiring\xa0within\xa02m")
    top.press("s", "s")
    top.until("by failures, at", lambda text: order_of(text) == ["ccc", "aaa", "bbb"])
    top.press("s")
    top.until(lambda text: order_of(text) == ["bbb", "ccc", "aaa"])
    top.press("/CCC" + ENTER)
    top.until(lambda text: order_of(text) == ["ccc"] and "filter 'CCC': 1" in text)
    three.raw.set(diff_key("sess_ccc"), b'{"delta":{"n":1},"action":{"action":"the last one"}}', ex=100)
    top.press(ENTER)
    top.until("newest actions (3 of 3)", "agent ccc", "the last one", "next_page")
    top.press(ESCAPE)
    top.until(lambda text: order_of(text) == ["ccc"])
    top.press("//posts" + ENTER)
    top.until("filter '/posts': 3")
    top.press("q")
    assert top.end() == 0
    assert top.sent.count(ENTER_SCREEN) == 1 and top.sent.rindex(LEAVE_SCREEN) > top.sent.index(ENTER_SCREEN)


def test_activity_is_shown(top: Terminal, awictl: Cli, three: ValkeyServer) -> None:
    active(three, "ddd", 0, total=10)
    top.until("sess_ddd")
    three.raw.delete(session_key("sess_aaa"))
    top.until(lambda text: order_of(text) == ["ddd", "bbb", "ccc"])
    top.press("s")
    top.until("by rate, at")
    totals = itertools.count(11)

    def is_counted(text: str) -> bool:
        """Act once more; whether the rate of the session, and that of the failures, are not zero."""
        total = next(totals)
        active(three, "bbb", 0, total=total, failed=total)
        found = (r"^sess_bbb.* ([\d,]+\.[1-9]|[1-9][\d,]*\.\d)", r"[1-9][\d,]*\.\d\sfailures/s")
        return all(re.search(one, text, re.MULTILINE) for one in found)

    top.until(is_counted)


def shows(*titles: str, but: str) -> Callable[[str], bool]:
    """A condition: these columns and a row are shown, and column `but` is not."""
    return lambda text: all(title in text for title in (*titles, "sess_ccc")) and but not in text


@pytest.mark.parametrize("how", ["key", "signal"])
def test_ctrl_c_restores_the_screen(top: Terminal, how: str) -> None:
    assert top.sent.count(ENTER_SCREEN) == 1
    if how == "key":
        top.press(CTRL_C)
    else:
        top.interrupt()
    assert top.end() == 130
    assert top.sent.rindex(LEAVE_SCREEN) > top.sent.index(ENTER_SCREEN)
    assert top.sent.rindex(SHOW_CURSOR) > top.sent.rindex(b"\x1b[?25l")
    assert top.sent.endswith(b"awictl: interrupted\r\n") and b"Traceback" not in top.sent


def test_sigterm_restores_the_screen(top: Terminal) -> None:
    top.process.kill(signal.SIGTERM)
    assert top.end() == 143
    assert top.sent.rindex(LEAVE_SCREEN) > top.sent.index(ENTER_SCREEN)


def test_columns_fit_any_width(awictl: Cli, three: ValkeyServer) -> None:
    with on_terminal(awictl, *WORDS, columns=200) as terminal:
        terminal.until("/ccc/posts", "BYTES", "ACTIONS", "TOK/STEP", "sess_ccc")
        terminal.resize(80)
        terminal.until(shows("SESSION", "AGENT", "IDLE", "TTL", "ACT/S", "FAILED", but="BYTES"))
        terminal.resize(48)
        terminal.until(shows("SESSION", "IDLE", but="FAILED"))
        terminal.resize(120)
        terminal.until("sess_ccc", "ROUTE")
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.parametrize("columns", [80, 200])
def test_hostile_and_wide_text(awictl: Cli, valkey: ValkeyServer, columns: int) -> None:
    made = document([0], "sess_wild", agent_name=HOSTILE)
    made["page_state"]["route"] = HOSTILE
    made["history"]["actions"][0]["observation"] = HOSTILE
    put(valkey, encode(made), "sess_wild")
    put(valkey, b"{", "sess_zbad")
    with on_terminal(awictl, *WORDS, columns=columns) as terminal:
        terminal.until("sess_zbad", "sess_wild", "\\x1b[2J", "unreadable")
        terminal.press(ENTER)
        terminal.until("newest actions", "\\x1b[2J", lambda text: "[red]" in text.replace("\n", ""))
        assert all(cell_len(line) <= columns for line in terminal.lines)
        terminal.press(ESCAPE)
        terminal.until("sess_zbad")
        terminal.press("q")
        assert terminal.end() == 0
    assert b"\x1b]0;x" not in terminal.sent and "\u202e".encode() not in terminal.sent


def test_no_color_disables_colors(awictl: Cli, three: ValkeyServer) -> None:
    def colours(user: Cli, *words: str) -> set[bytes]:
        with on_terminal(user, *WORDS, *words) as terminal:
            terminal.until("sess_ccc")
            terminal.press("q")
            assert terminal.end() == 0
        found = re.findall(rb"\x1b\[(?:[0-9;]*;)?([34]8;2;\d+;\d+;\d+)", terminal.sent)
        return {rgb for rgb in found if len(set(rgb.split(b";")[2:])) > 1}

    colourful = awictl.having(COLORTERM="truecolor")
    assert colours(colourful), "there are some otherwise"
    assert not colours(colourful.having(NO_COLOR="1"))
    assert not colours(colourful, "--no-color")


def test_a_dumb_terminal_gets_lines(awictl: Cli, three: ValkeyServer) -> None:
    with on_terminal(awictl.having(TERM="dumb"), *WORDS, "--seconds", "0.5", columns=200) as terminal:
        assert terminal.end() == 0
    assert b"\x1b" not in terminal.sent
    assert re.search(r"3 sessions  - actions/s .* memory .*sess_aaa agent aaa 1m", terminal.text)


def test_lines_in_a_pipe(awictl: Cli, three: ValkeyServer) -> None:
    with unchanged(three), awictl.start("top", "--interval", "0.1") as process:
        assert process.stdout is not None
        rows = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 130
    assert rows[0]["sessions"] == 3 and rows[0]["actions_per_second"] is None
    assert rows[1]["actions_per_second"] == 0 and rows[0]["used_memory"] > 0
    assert [one["session_id"] for one in rows[0]["top"]] == ["sess_aaa", "sess_bbb", "sess_ccc"]


def test_lines_are_printed_without_textual(awictl: Cli, three: ValkeyServer) -> None:
    (awictl.home / "textual.py").write_text("raise ModuleNotFoundError('textual')\n")
    user = awictl.having(PYTHONPATH=os.pathsep.join([str(awictl.home), *filter(None, [awictl.env.get("PYTHONPATH")])]))
    with on_terminal(user, *WORDS, "--seconds", "0.3", columns=200) as terminal:
        assert terminal.end() == 0
    assert "awictl[top]" in terminal.text and "3 sessions" in terminal.text


def test_it_reconnects_after_the_server_was_down(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    active(server, "aaa", 1)
    reader = user.having(REDIS_SOCKET=str(server.socket))
    with on_terminal(reader, *WORDS, columns=200) as terminal:
        terminal.until("sess_aaa")
        server.kill()
        terminal.until("(retrying)", lambda text: "cannot reach Redis" in text or "closed the connection" in text)
        terminal.until("sess_aaa")  # what was known stays
        server.start()
        active(server, "back", 1)
        terminal.until("sess_back")
        terminal.press("q")
        assert terminal.end() == 0


def test_messages_and_filters_are_readable_at_80_columns(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    active(server, "aaa", 1)
    with on_terminal(user.having(REDIS_SOCKET=str(server.socket)), *WORDS) as terminal:
        terminal.until("sess_aaa")
        terminal.press("/" + "x" * 500 + ENTER)
        terminal.until(lambda text: "(500 characters)': 0" in text and "at " in text)
        server.kill()
        terminal.until("config show")
        terminal.press("q")
        assert terminal.end() == 0


def test_a_wrong_address_is_reported_before_the_screen_is_taken_over(user: Cli) -> None:
    with on_terminal(user.having(REDIS_SOCKET="/nonexistent"), *WORDS, columns=200) as terminal:
        assert terminal.end() == 5
    assert ENTER_SCREEN not in terminal.sent and "cannot reach Redis" in terminal.text


def test_the_filter_finds_agent_ids(awictl: Cli, valkey: ValkeyServer) -> None:
    """Agents with a name are listed by it, and found by their id, too."""
    for name in ("aaa", "bbb"):
        made = document([0], f"sess_{name}", agent_name=f"Agent {name.upper()}")
        made["agent_id"] = f"agent-id-{name}"
        put(valkey, encode(made), f"sess_{name}")
    with on_terminal(awictl, *WORDS) as terminal:
        terminal.until("sess_bbb")
        terminal.press("/ID-BBB" + ENTER)
        terminal.until(lambda text: order_of(text) == ["bbb"] and "filter 'ID-BBB': 1" in text)
        terminal.press("q")
        assert terminal.end() == 0


def test_help_and_going_back(top: Terminal) -> None:
    top.until("? help", "q quit")
    top.press("?")
    top.until("actions per second since", "filter by session id", "q back")
    top.press("?")
    top.until("sess_ccc")
    top.press(ENTER)
    top.until("newest actions", "q back")
    top.press("?")
    top.until("filter by session id")
    top.press("q")
    top.until("newest actions")
    top.press("q")
    top.until(lambda text: order_of(text) == ["aaa", "bbb", "ccc"])
    top.press("/?q" + ENTER)
    top.until("filter '?q': 0")
    top.press("q")
    assert top.end() == 0


def test_unbuffered_output_uses_the_whole_terminal(awictl: Cli, three: ValkeyServer) -> None:
    with on_terminal(awictl.having(PYTHONUNBUFFERED="1"), *WORDS, columns=200) as terminal:
        terminal.until("sess_ccc", "BYTES", "ROUTE")
        terminal.resize(48)
        terminal.until(shows("SESSION", "IDLE", but="FAILED"))
        terminal.press("q")
        assert terminal.end() == 0


def test_the_screen_is_drawn_if_stderr_is_redirected(awictl: Cli, three: ValkeyServer) -> None:
    with on_terminal(awictl, *WORDS, script='"$@" 2>errors') as terminal:
        terminal.until("sess_ccc")
        terminal.press("q")
        assert terminal.end() == 0
    assert (awictl.home / "errors").read_bytes() == b""


def test_suspending_restores_the_terminal(awictl: Cli, three: ValkeyServer) -> None:
    """Ctrl-Z, and `fg`."""
    with on_terminal(awictl, *WORDS, script='"$@"; echo "code $?"; read; fg; echo "code $?"') as top:
        top.until("sess_ccc")
        top.press(CTRL_Z)
        top.until("Stopped")
        assert top.sent.rindex(LEAVE_SCREEN) > top.sent.index(ENTER_SCREEN)
        assert top.sent.rindex(SHOW_CURSOR) > top.sent.rindex(b"\x1b[?25l")
        top.press("\n")
        top.until(lambda text: order_of(text) == ["aaa", "bbb", "ccc"])
        top.press("q")
        top.until("code 0")
        assert top.end() == 0
    assert top.sent.count(ENTER_SCREEN) == 2


def test_it_continues_after_sigstop(top: Terminal) -> None:
    """Which, unlike Ctrl-Z, it cannot prepare for."""
    suspend(top.process.pid)
    top.process.kill(signal.SIGCONT)
    top.until(lambda _: top.sent.count(ENTER_SCREEN) == 2)
    top.press("s")
    top.until("by rate, at")
    top.press("q")
    assert top.end() == 0


def test_ctrl_z_does_nothing_if_nothing_can_continue_it(top: Terminal) -> None:
    """Such as in `ssh -t HOST awictl top`: it would be suspended for ever."""
    top.press(CTRL_Z, "s")
    top.until("by rate, at")
    top.press("q")
    assert top.end() == 0


def test_sighup_restores_the_screen(top: Terminal) -> None:
    top.process.kill(signal.SIGHUP)
    assert top.end() == 129
    assert top.sent.rindex(LEAVE_SCREEN) > top.sent.index(ENTER_SCREEN)


def test_an_opened_session_with_very_long_text(awictl: Cli, valkey: ValkeyServer) -> None:
    made = document([0], agent_name="x" * 1_000_000)
    made["page_state"]["filters"] = {"y" * 500_000: "z"}
    made["history"]["actions"][0]["observation"] = "o" * 1_000_000
    put(valkey, encode(made))
    with on_terminal(awictl, *WORDS, rows=60) as terminal:
        terminal.until(SESSION_ID)
        terminal.press(ENTER)
        terminal.until("newest actions (1 of 1)", "characters)", "next_page")
        terminal.press("q", "q")
        assert terminal.end() == 0
