"""An SQLite archive that does not exist: commands that only read it fail, commands that write it create it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Cli
from support.documents import SESSION_ID, compact, document, put
from support.valkey import ValkeyServer

READING = [
    ["archive", "list"],
    ["archive", "show", SESSION_ID],
    ["archive", "stats"],
    ["archive", "export"],
    ["archive", "export", SESSION_ID],
    ["archive", "restore", SESSION_ID],
    ["archive", "restore", SESSION_ID, "--dry-run"],
    ["agent", "list"],
    ["agent", "show", "known"],
    ["agent", "revoke", "known", "--yes"],
    ["session", "show", SESSION_ID],
    ["session", "history", SESSION_ID],
    ["session", "touch", SESSION_ID],
]
CREATING = [["archive", "sweep", "--margin", "1h"], ["session", "end", SESSION_ID], ["agent", "register", "new"]]
#: Commands on the archive that must not propose to delete anything if there is none.
ON_THE_ARCHIVE = [*READING[:7], ["archive", "sweep"], ["archive", "sweep", "--dry-run"]]


@pytest.fixture
def named(awictl: Cli) -> tuple[Cli, Path]:
    """A user whose environment names an archive that does not exist, and its path."""
    path = awictl.home / "missing" / "archive.db"
    return awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{path}"), path


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_missing_file_is_not_an_empty_archive(named: tuple[Cli, Path], words: list[str]) -> None:
    user, path = named
    user(*words).error(3, str(path), "does not exist")
    assert not path.parent.exists(), "looking leaves no traces"


def test_an_option_names_it_too(awictl: Cli) -> None:
    awictl("--archive", "sqlite:///nowhere.db", "archive", "list").error(3, "nowhere.db", "does not exist")


@pytest.mark.parametrize("words", CREATING, ids=" ".join)
def test_commands_that_write_the_archive_create_it(
    named: tuple[Cli, Path], valkey: ValkeyServer, words: list[str]
) -> None:
    user, path = named
    put(valkey, compact(document([0])))
    user.ok(*words)
    assert path.stat().st_mode & 0o777 == 0o600
    user.ok("archive", "list")


def test_a_sweep_without_anything_to_do_is_no_error(named: tuple[Cli, Path]) -> None:
    user, _ = named
    assert user.ok("archive", "sweep").json["found"] == 0
    assert user.ok("archive", "sweep", "--dry-run").out == b""


def test_a_live_session_is_shown_without_the_archive(named: tuple[Cli, Path], valkey: ValkeyServer) -> None:
    user, _ = named
    put(valkey, compact(document([0])))
    assert user.ok("session", "show", SESSION_ID).json["session_id"] == SESSION_ID


def test_health_and_doctor_mention_it(named: tuple[Cli, Path], valkey: ValkeyServer) -> None:
    """They check whether sessions can be archived, and that is so: it is no error."""
    user, path = named
    result = user.ok("health")
    assert result.json["archive"] == "missing" and str(path) in result.err
    [check] = [one for one in user.ok("doctor").json["checks"] if one["check"] == "archive"]
    assert check["status"] == "warn" and str(path) in json.dumps(check)
    assert not path.parent.exists()
    user.ok("agent", "register", "new")
    assert user.ok("health").json["archive"] == "connected"


@pytest.mark.parametrize("words", ON_THE_ARCHIVE, ids=" ".join)
def test_without_an_archive_nothing_destructive_is_proposed(awictl: Cli, words: list[str]) -> None:
    line = awictl(*words).error(4, "AWI_ARCHIVE_URL", "--archive")
    assert "discard" not in line and "end" not in line.split("session")[-1]
