"""The embedded server: `awictl demo`, concurrent starts, and recovery from what users do to it."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
import redis
from support.cli import Cli, finish
from support.embedded import servers_in, works_below

#: Seconds after which a command has given up on a server that does not answer, where --timeout says 1. What the same
#: command takes here and now if the server answers is not counted: that is up to the machine.
PATIENCE_SECONDS = 9.0


def folder_of(laptop: Cli) -> Path:
    return laptop.home / "data" / "awictl" / "embedded"


def created(laptop: Cli) -> str:
    """The id of a new session on the embedded server."""
    return laptop.ok("--embedded", "session", "create", "--agent", "a", "-o", "ids", "-q").text.strip()


def listed(laptop: Cli) -> list[str]:
    """The ids of all sessions on the embedded server."""
    return laptop.ok("--embedded", "session", "list", "-o", "ids").lines


def seconds_if_it_answers(laptop: Cli) -> float:
    """Duration in seconds of a command that finds the server running."""
    return laptop.ok("--embedded", "--timeout", "1", "session", "list").seconds


def server_of(laptop: Cli) -> int:
    """The process id of the running server."""
    pid = laptop.ok("embedded", "status").json["pid"]
    assert isinstance(pid, int) and works_below(pid, laptop.home)
    return pid


# -- demo


def test_the_demo_shows_the_life_of_a_session_and_leaves_one(laptop: Cli) -> None:
    demo = laptop.ok("demo")
    assert demo.err == ""
    ended_id, session_id = dict.fromkeys(re.findall("sess_[0-9a-f]{32}", demo.text))
    for one in (ended_id, session_id):
        for text in (f"AWI:SESSION:{one}", f"AWI:DIFF:{one}", "AGENT:SESSION:demo-agent", "Post not found"):
            assert text in demo.text
    assert "29m" in demo.text or "30m" in demo.text
    assert listed(laptop) == [session_id]
    hints = [line.strip() for line in demo.lines if line.startswith("  awictl ")]
    assert len(hints) >= 4 and hints[-1] == "awictl embedded stop"
    for hint in hints:
        followed = laptop.shell(hint)
        assert followed.code == 0, (hint, followed)
    assert listed(laptop) == [], "the hints end it"
    laptop.ok("demo")
    assert len(listed(laptop)) == 1, "it may be run again"


def test_the_demo_respects_read_only(laptop: Cli) -> None:
    laptop.having(AWI_READ_ONLY="1")("demo", "-q").error(4, "read-only")
    assert listed(laptop) == []


# -- start, status, stop


def test_start_status_and_stop(laptop: Cli) -> None:
    assert laptop("embedded", "status").code == 3
    assert laptop.ok("embedded", "stop").json["running"] is False
    assert not folder_of(laptop).exists(), "looking leaves no traces"
    started = laptop.ok("embedded", "start")
    assert "started" in started.err
    state = started.json
    assert state["running"] is state["answers"] is True and state["folder"] == str(folder_of(laptop))
    assert laptop.ok("embedded", "status").json == laptop.ok("embedded", "start").json == state
    assert os.getsid(state["pid"]) != os.getsid(0), "the server survives the terminal that started it"
    assert folder_of(laptop).stat().st_mode & 0o777 == 0o700
    session_id = created(laptop)
    stopped = laptop.ok("embedded", "stop")
    assert "stopped" in stopped.err and stopped.json["running"] is False
    assert laptop("embedded", "status").code == 3
    assert laptop.ok("embedded", "stop").code == 0
    assert listed(laptop) == [session_id], "its data is kept"
    assert len(servers_in(folder_of(laptop))) == 2


def test_ways_to_select_the_embedded_server(laptop: Cli) -> None:
    session_id = created(laptop)
    by_environment = laptop.having(AWI_EMBEDDED="1")
    assert by_environment.ok("session", "list", "-o", "ids").lines == [session_id]
    elsewhere = laptop.having(REDIS_HOST="host.invalid", REDIS_PASSWORD="other", REDIS_DB="3")
    assert elsewhere.ok("session", "list", "-o", "ids", "--embedded").lines == [session_id]
    socket = folder_of(laptop) / "valkey.sock"
    assert by_environment.ok("--redis", f"unix://{socket}", "session", "list", "-o", "ids").lines == [session_id]
    other = laptop.having(AWI_EMBEDDED_DIR="other/place")
    assert listed(other) == []
    assert (laptop.home / "other" / "place" / "valkey.sock").is_socket()


def test_completion_finds_the_sessions_of_a_running_server_only(laptop: Cli) -> None:
    words = ("--embedded", "session", "show")
    patient = laptop.having(AWI_COMPLETION_SECONDS="20")
    session_id = created(laptop)
    for user, more in ((patient, words), (patient.having(AWI_EMBEDDED="1"), words[1:])):
        assert user("__complete", "session", "sess_", *more).lines == [session_id]
    laptop.ok("embedded", "stop")
    assert patient("__complete", "session", "sess_", *words).lines == []
    assert laptop("embedded", "status").code == 3, "it was not started"


# -- concurrent commands


@pytest.mark.parametrize("count", [4, pytest.param(8, marks=pytest.mark.soak)])
def test_concurrent_commands_share_one_server(laptop: Cli, count: int) -> None:
    words = ("--embedded", "session", "create", "--agent", "a", "-o", "ids", "-q")
    made: list[str] = []
    for starts in (1, 2):
        processes = [laptop.start(*words) for _ in range(count)]
        for process in processes:
            with process:
                result = finish(process)
            assert (result.code, result.err) == (0, "")
            made += result.lines
        assert len(servers_in(folder_of(laptop))) == starts
        assert sorted(listed(laptop)) == sorted(made)
        # the same after it was killed
        laptop.ok("embedded", "stop")
    assert len(made) == 2 * count


def test_a_killed_server_is_restarted_with_its_data(laptop: Cli) -> None:
    made = []
    for _ in range(2):
        made.append(created(laptop))
        os.kill(server_of(laptop), signal.SIGKILL)
        assert sorted(listed(laptop)) == sorted(made)
    os.kill(server_of(laptop), signal.SIGKILL)
    assert laptop("embedded", "status").code == 3
    laptop.ok("embedded", "stop")


# -- folders

FOLDERS = {
    "long": "/".join(["a-very-long-name-of-a-folder"] * 8),
    "spaces and quotes": 'it\'s "my" folder  \\ $HOME `x` ; #',
    "letters beyond ASCII": "données 🙂",
    "a percent sign": "100% {x}",
}


@pytest.mark.parametrize(
    ("way", "name"),
    [*(("AWI_EMBEDDED_DIR", name) for name in FOLDERS), ("XDG_DATA_HOME", "long")],
)
def test_a_folder_with_an_unusual_name(laptop: Cli, way: str, name: str) -> None:
    there = laptop.having(**{way: str(laptop.home / FOLDERS[name])})
    session_id = created(there)
    os.kill(server_of(there), signal.SIGKILL)
    assert listed(there) == [session_id]
    state = there.ok("embedded", "status").json
    assert state["folder"].startswith(str(laptop.home / FOLDERS[name])) and Path(state["socket"]).is_socket()
    assert list(Path(state["folder"]).glob("appendonlydir/*"))
    assert Path(state["socket"]).parent.stat().st_mode & 0o777 == 0o700
    there.ok("embedded", "stop")


def test_an_unusable_folder_is_reported(laptop: Cli) -> None:
    (laptop.home / "file").write_text("")
    for folder in (f"{laptop.home}/file", f"{laptop.home}/file/below", "/proc/awictl", "/dev/null"):
        there = laptop.having(AWI_EMBEDDED_DIR=folder)
        for words in (("--embedded", "session", "list"), ("embedded", "start"), ("demo",)):
            result = there(*words)
            result.error(1, folder)
            assert result.out == b""


def test_damaged_data_is_reported(laptop: Cli) -> None:
    created(laptop)
    usual = seconds_if_it_answers(laptop)
    laptop.ok("embedded", "stop")
    [file] = folder_of(laptop).glob("appendonlydir/*.incr.aof")
    damaged = b"garbage\r\n" + file.read_bytes()
    file.write_bytes(damaged)
    result = laptop("--embedded", "session", "list")
    result.error(5, "valkey.log")
    assert result.seconds - usual < PATIENCE_SECONDS and file.read_bytes() == damaged


# -- a server that runs but does not answer


def test_a_suspended_server_times_out(laptop: Cli) -> None:
    session_id = created(laptop)
    pid = server_of(laptop)
    usual = seconds_if_it_answers(laptop)
    os.kill(pid, signal.SIGSTOP)
    result = laptop("--embedded", "--timeout", "1", "session", "list")
    result.error(5, "awictl embedded stop")
    assert result.seconds - usual < PATIENCE_SECONDS
    os.kill(pid, signal.SIGCONT)
    assert listed(laptop) == [session_id] and server_of(laptop) == pid


def test_a_full_disk_is_reported_at_once_and_reads_are_served(laptop: Cli) -> None:
    session_id = created(laptop)
    usual = seconds_if_it_answers(laptop)
    folder = folder_of(laptop)
    (folder / "dump.rdb").mkdir()  # so that a snapshot cannot be written, as on a full disk, also as root
    with redis.Redis(unix_socket_path=str(folder / "valkey.sock")) as server:
        server.config_set("save", "3600 1000000")
        server.bgsave()
        while server.info("persistence")["rdb_last_bgsave_status"] == "ok":
            time.sleep(0.01)
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        server.ping()
    for words in (("list", "-o", "ids"), ("show", session_id), ("history", session_id)):
        read = laptop.ok("--embedded", "session", *words)
        assert session_id.encode() in read.out or words[0] == "history"
        assert read.seconds - usual < PATIENCE_SECONDS
        assert read.err.count("\n") == 1 and str(folder) in read.err and "free some space" in read.err, read
    written = laptop("--embedded", "-q", "session", "apply", session_id, '{"current_url":"/x"}')
    written.error(4, "rejects writes", "Nothing was written", "free some space")
    assert written.seconds - usual < PATIENCE_SECONDS
    assert laptop.ok("embedded", "status").json["answers"] is True
    assert "already running" in laptop.ok("embedded", "start").err

    (folder / "dump.rdb").rmdir()
    with redis.Redis(unix_socket_path=str(folder / "valkey.sock")) as server:
        server.save()
    assert laptop.ok("--embedded", "session", "apply", session_id, '{"current_url":"/x"}').err == ""


def test_a_suspended_server_can_be_stopped(laptop: Cli) -> None:
    """The remedy that the message of the previous test names."""
    session_id = created(laptop)
    os.kill(server_of(laptop), signal.SIGSTOP)
    laptop.ok("embedded", "stop")
    assert listed(laptop) == [session_id] and len(servers_in(folder_of(laptop))) == 2


def test_a_deleted_socket_is_recovered(laptop: Cli) -> None:
    """The server runs, but its socket file was deleted, so that no client can connect."""
    session_id = created(laptop)
    usual = seconds_if_it_answers(laptop)
    (folder_of(laptop) / "valkey.sock").unlink()
    result = laptop("--embedded", "--timeout", "1", "session", "list", "-o", "ids")
    assert result.seconds - usual < PATIENCE_SECONDS
    if result.code:  # recovery is optional, but without it the message names a remedy
        result.error(5, "awictl embedded stop")
        laptop.ok("embedded", "stop")
    assert listed(laptop) == [session_id]
    assert len(servers_in(folder_of(laptop))) == 2
