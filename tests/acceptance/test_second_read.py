"""What an operator who had never seen awictl stumbled over: output that was not true, or did not say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Cli
from support.documents import SESSION_ID, compact, document, put, session_key
from support.terminal import on_terminal
from support.valkey import ValkeyServer

APP_TRIMMED = Path(__file__).parents[1] / "data" / "session_04_over_100_actions.json"
LONG = "sess_" + "d" * 40
DRY = "dry run: nothing was written"


@pytest.fixture
def archiving(awictl: Cli) -> Cli:
    return awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")


def test_a_dry_run_says_on_stderr_that_it_was_one(archiving: Cli, valkey: ValkeyServer) -> None:
    """Its rows are otherwise those of the real thing: at 80 columns `session end --discard` said "discarded"."""
    put(valkey, compact(document([0])))
    put(valkey, b"[]", "x")
    valkey.raw.set("AWI:CACHE:LIST:" + "0" * 32, "[]", ex=100)
    valkey.raw.set("MEDIA:IMG:i", '{"thumbnail_url":"t","full_url":"f","embedding_key":null}', ex=100)
    for words in (
        ["session", "end", SESSION_ID],
        ["session", "end", SESSION_ID, "--discard"],
        ["archive", "sweep", "--margin", "31m"],
        ["cache", "delete", "0" * 32],
        ["media", "delete", "i"],
    ):
        if words[0] == "archive":
            archiving.ok("archive", "sweep")  # makes the file
        result = archiving.ok(*words, "--dry-run")
        assert result.rows and result.err.splitlines() == [DRY], words
        assert archiving.ok(*words, "--dry-run", "-q").err == ""
    archiving.ok("session", "end", SESSION_ID)
    assert archiving.ok("archive", "restore", SESSION_ID, "--dry-run").err.splitlines()[-1] == DRY
    assert not valkey.raw.exists(session_key())
    restored = archiving.ok("archive", "restore", SESSION_ID)
    assert DRY not in restored.err


def test_doctor_does_not_fail_because_of_a_restored_session(archiving: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    archiving.ok("session", "end", SESSION_ID)
    archiving.ok("archive", "restore", SESSION_ID)
    checks = {one["check"]: one for one in archiving("doctor").json["checks"]}
    assert checks["ended sessions"]["status"] == "pass", checks["ended sessions"]
    (archiving.home / "archive.db").unlink()
    checks = {one["check"]: one for one in archiving("doctor").json["checks"]}
    assert checks["ended sessions"]["status"] == "fail", "it is not archived any more"
    assert checks["ended sessions"]["examples"] == [session_key()]


def test_an_unknown_key_is_warned_about_once_however_many_profiles_there_are(user: Cli) -> None:
    user.configure("[other]\n[profiles.a]\n[profiles.b]\n[profiles.c]\n")
    result = user.ok("config", "profiles")
    assert len(result.rows) == 3 and result.err.count("'other'") == 1
    user.configure("")
    assert "config init" not in user.ok("config", "profiles", "-o", "table").err, "the file exists: init refuses"
    user.configure("[profiles]\nflat = 1\n")
    assert "[profiles.flat]" in user.ok("config", "profiles").rows[0]["error"]


def test_doctor_indents_all_examples_alike(awictl: Cli, valkey: ValkeyServer) -> None:
    for name, raw in (("sess_a", b"[]"), ("sess_b", b"{"), (LONG, b"")):
        put(valkey, raw, name)
    for columns in (80, 200):
        with on_terminal(awictl, "doctor", columns=columns, rows=60) as terminal:
            assert terminal.end() == 1
            lines = terminal.lines
        short = [line for line in lines if "sess_a" in line or "sess_b" in line]
        assert len({line.index("AWI:SESSION") for line in short}) == 1 and short[0].startswith(" " * 25), lines
        [long] = [line for line in lines if LONG in line]
        assert session_key(LONG) in long, "not broken"
        assert all(len(line) <= columns for line in lines)


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        ("get sessions", "awictl session show"),
        ("session follow x", "awictl session history"),
        ("session tail x", "awictl session history"),
        ("delete x", "awictl cache delete"),
    ],
)
def test_words_of_other_programs_are_not_taken_for_mistyped_names(user: Cli, words: str, suggested: str) -> None:
    line = user(*words.split()).error(2, "Did you mean", f"`{suggested}`")
    assert "`awictl agent`" not in line


@pytest.mark.parametrize("words", [["--failed"], ["--sort", "failed"]])
def test_a_list_about_failures_shows_them_on_a_narrow_terminal(
    awictl: Cli, valkey: ValkeyServer, words: list[str]
) -> None:
    made = document([0] * 3)
    made["statistics"] |= {"failed_actions": 17}
    put(valkey, compact(made))
    title, _, row, *_ = awictl.on_screen("session", "list", *words, columns=80).lines
    assert "FAILED" in title.split() and "17" in row.split()


def test_actions_that_the_app_trimmed_are_reported(awictl: Cli, valkey: ValkeyServer) -> None:
    """The app keeps 100 actions and records nowhere that there were more; the first of them has t 27."""
    raw = APP_TRIMMED.read_bytes()
    session_id = json.loads(raw)["session_id"]
    put(valkey, raw, session_id)
    shown = awictl.on_screen("session", "show", session_id, columns=120, rows=60)
    assert "100 (27 trimmed)" in shown.text
    result = awictl.ok("session", "history", session_id, "--limit", "100")
    assert len(result.rows) == 100 and "actions before 27 were trimmed" in result.err
    assert "trimmed" not in awictl.ok("session", "history", session_id, "--limit", "99").err
    put(valkey, compact(document([0] * 3)))
    assert "trimmed" not in awictl.ok("session", "history", SESSION_ID).err


@pytest.mark.parametrize("interval", ["0.2", "0.2s", "200ms", "1s"])
def test_an_interval_of_less_than_a_second_is_given_with_or_without_its_unit(
    awictl: Cli, valkey: ValkeyServer, interval: str
) -> None:
    put(valkey, compact(document([0])))
    assert awictl.ok("session", "watch", SESSION_ID, "--interval", interval, "--seconds", "0.1").rows


def test_a_filter_that_expects_the_array_is_told_that_it_gets_rows(awictl: Cli, valkey: ValkeyServer) -> None:
    """gh gives the array to --jq; awictl gives it each row, because rows are printed as they are found."""
    put(valkey, compact(document([0])))
    awictl("session", "list", "--jq", ".[].session_id").error(2, "--jq", "each row", "-o json")
    assert awictl.ok("session", "list", "-o", "json", "--jq", ".[].session_id").lines == [SESSION_ID]
    assert "each row" not in awictl("session", "show", SESSION_ID, "--jq", ".[0]").error(2, "--jq")


def test_columns_are_also_selected_by_the_names_of_fields(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    words = ["session", "list", "-o", "csv", "--columns"]
    assert awictl.ok(*words, "id,ttl_ms,agent_name").lines[0] == "session_id,ttl_ms,agent_name"


def test_the_name_of_an_agent_that_is_not_registered_leads_to_its_sessions(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0], agent_id="agent-1", agent_name="Crawler 1")))
    line = awictl("agent", "session", "Crawler 1").error(3, "awictl session list --agent 'Crawler 1'")
    assert "Crawler 1" in line
    assert awictl.ok("session", "list", "--agent", "Crawler 1", "-o", "ids").lines == [SESSION_ID]
