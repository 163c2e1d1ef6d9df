"""`session replay`: the full screen in a pseudo-terminal, lines on a plain terminal, and JSON in a pipe."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from bson import json_util
from rich.cells import cell_len
from support.cli import LIMIT_SECONDS, Cli, unchanged
from support.documents import APP_FILES, DATA, SESSION_ID, app_updated, compact, put
from support.mongo import MongoServer
from support.terminal import (
    CTRL_C,
    CTRL_Z,
    ENTER,
    ENTER_SCREEN,
    ESCAPE,
    HIDE_CURSOR,
    LEAVE_SCREEN,
    SHOW_CURSOR,
    Terminal,
    on_terminal,
)
from support.valkey import ValkeyServer

from awictl.document.timestamps import timestamp

START = datetime(2026, 11, 23, 7, 10, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e[red]文字🙂"
WORDS = ["session", "replay", SESSION_ID]
#: Escape sequences for colors; bold, dim and reverse are not colors.
_COLOR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m")


def recorded(
    count: int, seconds: float = 1.0, delta: dict[str, Any] | None = None, prefix: str = "press", **fields: Any
) -> dict[str, Any]:
    """A session with so many actions after its start, one every few seconds.

    `fields`: of the last action; `delta`: what it changed besides.
    """
    made: dict[str, Any] = json.loads(APP_FILES[0].read_bytes()) | {"session_id": SESSION_ID}
    for number in range(1, count + 1):
        update = {"page_state": {"pagination": {"cursor": number * 10}}, **((number == count and delta) or {})}
        more = {"action": f"{prefix}_{number}", "delta": update, **(fields if number == count else {})}
        app_updated(made, timestamp(START + timedelta(seconds=number * seconds)), **more)
    if fields.get("success") is False:
        made["statistics"] |= {"successful_actions": count - 1, "failed_actions": 1}
    return made | (delta or {})


@pytest.fixture(autouse=True)
def session(valkey: ValkeyServer) -> dict[str, Any]:
    """A session with the actions 0 to 5; the last one failed."""
    made = recorded(5, success=False)
    put(valkey, compact(made))
    return made


def shows(number: int, *texts: str, of: int = 6, state: str = "") -> Callable[[str], bool]:
    """A condition: the screen shows an action by its position from 1, and texts."""

    def condition(text: str) -> bool:
        status = text.splitlines()[1]
        return status.startswith(state) and f" {number}/{of} " in status and all(one in text for one in texts)

    return condition


def restored(terminal: Terminal) -> bool:
    """Whether the screen and the cursor are those from before."""
    sent = terminal.sent
    return sent.rindex(LEAVE_SCREEN) > sent.rindex(ENTER_SCREEN) and sent.rindex(SHOW_CURSOR) > sent.rindex(HIDE_CURSOR)


def test_keys(awictl: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey), on_terminal(awictl, *WORDS, "--step", rows=24) as terminal:
        terminal.until(
            shows(1, SESSION_ID, "session_start", "/page_state/pagination/cursor: 1", "? help", state="paused")
        )
        terminal.press("n", "\x1b[C")
        # the field is marked in the state, too
        text = terminal.until(
            shows(3, "* /page_state/pagination/cursor: 10 → 20", "* /page_state/pagination/cursor: 20\n")
        )
        assert "press_2  ok  2026-11-23 07:10:02.000Z" in text and 'input: {"page":2}' in text
        assert "observation: page 2" in text
        terminal.press("p", "\x1b[D")
        terminal.until(shows(1, "session_start"))
        terminal.press("\x1b[F")
        terminal.until(shows(6, "press_5  FAILED", "40 → 50", state="at the end"))
        terminal.press("g2" + ENTER)
        terminal.until(shows(3, "press_2", "10 → 20"))
        terminal.press(":")
        terminal.until("go to")
        terminal.press("77" + ENTER)
        terminal.until("there is no action 77: the newest is 5")
        terminal.press("g07:10:04" + ENTER)
        terminal.until(shows(5, "press_4", "30 → 40"))
        terminal.press("?")
        terminal.until("previous action")
        terminal.press(ESCAPE)
        terminal.until("30 → 40")
        terminal.press("+", "+", "\x1b[H")
        terminal.until(shows(1, "session_start", state="paused 4x"))
        assert all(cell_len(line) <= 80 for line in terminal.lines)
        terminal.press("q")
        assert terminal.end() == 0
    assert restored(terminal) and b"Traceback" not in terminal.sent


def test_it_plays_to_the_end_and_waits_there(awictl: Cli) -> None:
    with on_terminal(awictl, *WORDS, "--speed", "20", "--from", "1", "--to", "3") as terminal:
        terminal.until(shows(4, state="paused"))
        terminal.press(" ")
        terminal.until(shows(6, state="at the end"))
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert restored(terminal) and terminal.sent.endswith(b"awictl: interrupted\r\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_restores_the_terminal(awictl: Cli, number: signal.Signals, code: int) -> None:
    outside, inside = os.openpty()
    termios.tcsetwinsize(inside, (24, 80))
    modes = termios.tcgetattr(inside)
    process = subprocess.Popen(
        [sys.executable, "-m", "awictl", *WORDS, "--step"],
        cwd=awictl.home,
        env=awictl.env,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    try:
        sent = b""
        while b"? help" not in sent:
            assert select.select([outside], [], [], LIMIT_SECONDS)[0], sent
            sent += os.read(outside, 1 << 16)
        assert termios.tcgetattr(inside) != modes, "each key is sent at once"
        process.send_signal(number)
        while SHOW_CURSOR not in sent or LEAVE_SCREEN not in sent:
            assert select.select([outside], [], [], LIMIT_SECONDS)[0], sent
            sent += os.read(outside, 1 << 16)
        assert process.wait(LIMIT_SECONDS) == code
        assert termios.tcgetattr(inside) == modes
    finally:
        process.kill()
        process.wait()
        os.close(outside)
        os.close(inside)


def test_suspending_restores_the_terminal(awictl: Cli) -> None:
    """Ctrl-Z, and `fg`."""
    script = '"$@"; stty -a | grep -o "[-]*icanon"; read; fg; echo "code $?"; stty -a | grep -o "[-]*icanon"'
    with on_terminal(awictl, *WORDS, "--step", script=script) as terminal:
        terminal.until(shows(1))
        terminal.press(CTRL_Z)
        terminal.until(lambda text: "Stopped" in text and "icanon" in text)
        assert restored(terminal) and "-icanon" not in terminal.text
        terminal.press("\n")
        terminal.until(shows(1))
        terminal.press("n")
        terminal.until(shows(2))
        terminal.press("q")
        terminal.until(lambda text: "code 0" in text and "icanon" in text.partition("code 0")[2])
        assert "-icanon" not in terminal.text.partition("code 0")[2]
        assert terminal.end() == 0


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (20, 5), (200, 50)])
def test_small_and_large_terminals(awictl: Cli, valkey: ValkeyServer, columns: int, rows: int) -> None:
    put(valkey, compact(recorded(3, delta={"note": "文字🙂" * 40}, observation=HOSTILE * 20)))
    with on_terminal(awictl, *WORDS, "--step", columns=columns, rows=rows) as terminal:
        terminal.until(shows(1, of=4))
        terminal.press("\x1b[F")
        terminal.until(shows(4, of=4))
        if rows == 10:
            terminal.press("\x1b[B" * 6)
            terminal.until(lambda text: "+ /note:" in text and "(120 characters)" in text)
            terminal.press("k" * 6)
            terminal.until("input:")
        assert all(cell_len(line) <= columns for line in terminal.lines)
        terminal.resize(80, 24)
        terminal.until(lambda text: "? help" in text and "/note" in text)
        terminal.press("q")
        assert terminal.end() == 0


def test_hostile_text(awictl: Cli, valkey: ValkeyServer) -> None:
    made = recorded(2, action=HOSTILE, delta={HOSTILE: HOSTILE}, observation=HOSTILE, input={HOSTILE: 1})
    put(valkey, compact(made | {"agent_name": HOSTILE}))
    with on_terminal(awictl, *WORDS, "--step", columns=100) as terminal:
        terminal.until(shows(1, of=3))
        terminal.press("n", "\x1b[F")
        terminal.until("+ /\\x1b[2J")
        terminal.press("g" + "\u202e\x1b[31m" + "x" * 5 + ENTER)
        terminal.until("is not a moment")
        terminal.press("q")
        assert terminal.end() == 0
    assert b"\x1b[2J" not in terminal.sent.replace(b"\x1b[?1049h\x1b[H", b"") and b"\x1b]0;x" not in terminal.sent
    assert "\u202e".encode() not in terminal.sent


def test_very_long_text(awictl: Cli, valkey: ValkeyServer) -> None:
    made = recorded(2, delta={"k" * 500_000: "v" * 500_000}, action="a" * 500_000, observation="文" * 300_000)
    put(valkey, compact(made | {"agent_name": "n" * 500_000}))
    with on_terminal(awictl, *WORDS, "--from", "2", "--step", rows=24) as terminal:
        terminal.until(shows(3, "(500,001 characters)", "? help", of=3))
        terminal.press("q")
        assert terminal.end() == 0
    assert len(terminal.sent) < 20_000


def test_marks_without_colors(awictl: Cli) -> None:
    for user, colored in ((awictl, True), (awictl.having(NO_COLOR="1"), False)):
        with on_terminal(user, *WORDS, "--from", "3", "--step") as terminal:
            terminal.until("* /page_state/pagination/cursor: 20 → 30")
            terminal.press("q")
            assert terminal.end() == 0
        assert bool(_COLOR.search(terminal.sent)) is colored


def test_long_pauses_are_shortened_and_said(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(recorded(2, seconds=3600)))
    said = b"the pause of 1h that follows is shortened to 3s"
    with on_terminal(awictl, *WORDS, "--from", "1") as terminal:
        terminal.until(lambda _: said in terminal.sent)  # it does not stay on the screen
        terminal.press("q")
        assert terminal.end() == 0
    with on_terminal(awictl.having(TERM="dumb"), *WORDS, "--from", "1", "--speed", "100", columns=200) as terminal:
        terminal.until(said.decode())


def test_a_terminal_without_keys_gets_lines(awictl: Cli) -> None:
    with on_terminal(awictl.having(TERM="dumb"), *WORDS, "--speed", "50", columns=200) as terminal:
        assert terminal.end() == 0
    lines = terminal.lines
    assert b"\x1b" not in terminal.sent
    [at] = [number for number, line in enumerate(lines) if line.startswith("2026-11-23 07:10:03.000Z  #3  press_3  ok")]
    assert lines[at + 1] == "    * /page_state/pagination/cursor: 20 → 30"
    assert any("#5  press_5  FAILED" in line for line in lines)
    script = '"$@" < /dev/null'
    with on_terminal(awictl, *WORDS, "--speed", "50", columns=200, script=script) as terminal:
        assert terminal.end() == 0
    assert "* /page_state/pagination/cursor: 20 → 30" in terminal.text and ENTER_SCREEN not in terminal.sent
    result = awictl.having(TERM="dumb").on_screen(*WORDS, "--step")
    assert result.code == 2 and "--step waits for keys" in result.text


def test_json_lines_in_a_pipe(awictl: Cli, session: dict[str, Any], valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        rows = awictl.ok(*WORDS).rows
        assert [one["ordinal"] for one in rows] == [*range(6)]
        state = {name: value for name, value in session.items() if name != "history"}
        assert rows[-1]["state"] == state and rows[-1]["success"] is False and rows[-1]["unknown"] == []
        assert rows[3]["state"]["page_state"]["pagination"]["cursor"] == 30
        assert rows[3]["changed"] == ["/page_state/pagination/cursor"]
        assert {name: rows[2][name] for name in ("t", "action", "input", "observation", "overwritten", "gap")} == {
            "t": 2,
            "action": "press_2",
            "input": {"page": 2},
            "observation": "page 2",
            "overwritten": False,
            "gap": None,
        }
        assert awictl.ok(*WORDS, "--from", "07:10:01.5", "--to", "07:10:04").rows == rows[2:5]
        assert awictl.ok(*WORDS, "--from", "2", "--to", "3", "-o", "json").json == rows[2:4]
        assert "#2  press_2" in awictl.ok(*WORDS, "-o", "table").table()
    awictl(*WORDS, "--from", "9").error(3, "sess_test has no action in that range: it has 0 to 5")
    awictl(*WORDS, "--from", "3", "--to", "2").error(3, "no action in that range")
    awictl(*WORDS, "--from", "yesterday").error(2, "--from: ", "yesterday", "is not a moment")
    awictl("session", "replay", "sess_missing").error(3, "sess_missing")
    assert awictl(*WORDS, "--speed", "nan").code == 2


def test_a_reader_that_closes_the_pipe(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(recorded(99)))
    result = awictl.shell(f"awictl {' '.join(WORDS)} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (result.code, len(result.lines), result.err) == (141, 1, "")


def test_a_session_that_the_app_cut(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(recorded(120)))
    rows = awictl.ok(*WORDS).rows
    assert (rows[0]["ordinal"], rows[-1]["ordinal"], rows[-1]["t"]) == (21, 120, 100)
    assert rows[0]["gap"] == {"from": 0, "to": 20, "count": 21}
    with on_terminal(awictl, *WORDS, "--step", columns=100) as terminal:
        terminal.until("! actions 0 to 20 before this one are missing")
        terminal.press("\x1b[F")
        terminal.until("t 100 (action 120)")
        terminal.press("g10" + ENTER)
        terminal.until("there is no action 10")
        terminal.press("q")
        assert terminal.end() == 0


def test_an_archived_session_with_an_overwritten_action(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(recorded(3)), seconds=60)
    sqlite_user.ok("archive", "sweep")  # takes a copy, as it expires soon
    put(valkey, compact(recorded(4, seconds=2, prefix="other")))
    sqlite_user.ok("session", "end", SESSION_ID)
    rows = sqlite_user.ok(*WORDS).rows
    assert [(one["ordinal"], one["action"]) for one in rows if one["overwritten"]] == [
        (number, f"press_{number}") for number in (1, 2, 3)
    ]
    kept = [one for one in rows if not one["overwritten"]]
    assert [one["ordinal"] for one in kept] == [*range(6)] and kept[-1]["action"] == "session_end"
    assert rows[1]["changed"] == [] and rows[1]["state"] == rows[0]["state"], "it is in no later state"
    assert sqlite_user.ok(*WORDS, "--from", "1", "--to", "2").rows == rows[1:6]
    assert sqlite_user.ok(*WORDS, "--from", "2", "--to", "3").rows == kept[2:4]
    with on_terminal(sqlite_user, *WORDS, "--from", "1", "--step", columns=100) as terminal:
        terminal.until("! overwritten by another writer")
        terminal.press("q")
        assert terminal.end() == 0
    assert b"is read from the archive" in terminal.sent


def test_a_session_that_the_app_archived(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    """The app keeps no deltas and hardly anything of the state: the rest is unknown, and not removed."""
    saved = json_util.loads((DATA / "mongo_archived_session.ejson").read_text())
    with pymongo.MongoClient[dict[str, Any]](mongo.uri) as client:
        client.get_default_database()["agentsessions"].insert_one(saved)
    rows = mongo_user.ok("session", "replay", saved["sessionId"]).rows
    assert [one["action"] for one in rows] == ["session_start", "list_posts", "session_end"]
    assert rows[0]["state"]["page_state"]["visible_items"] == [] and "/agent_name" in rows[0]["unknown"]
    assert "page_state" not in rows[1]["state"] and "" in rows[1]["unknown"] and "" in rows[2]["unknown"]
    text = mongo_user.ok("session", "replay", saved["sessionId"], "-o", "table").text
    assert "? /page_state: {" in text and "→ unknown" in text and "removed" not in text


def test_long_sessions_are_shown_quickly(awictl: Cli, valkey: ValkeyServer) -> None:
    """5,000 actions: only those around the one that is shown are computed. See `test_frames.py` for how often."""
    made = recorded(1)
    last = made["history"]["actions"][-1]
    for number in range(2, 5000):
        record = {**last, "t": number, "delta": {"n": number}, "action": f"press_{number}"}
        made["history"]["actions"].append(record)
    made["history"]["last_action"] = record
    made["n"] = 4999
    made["statistics"] |= {"total_actions": 4999, "successful_actions": 4999}
    put(valkey, compact(made))
    with on_terminal(awictl, *WORDS, "--step", columns=100) as terminal:
        terminal.until(shows(1, of=5000))
        terminal.press("\x1b[F")
        terminal.until("* /n: 4998 → 4999")
        terminal.press("p" * 200)
        terminal.until("* /n: 4798 → 4799")
        terminal.press("g2500" + ENTER)
        terminal.until("* /n: 2499 → 2500")
        terminal.press("q")
        assert terminal.end() == 0
