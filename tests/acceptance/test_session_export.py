"""`awictl session export` and `session import`, as a user runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.documents import LAYOUTS, document, put
from support.terminal import CTRL_C, on_terminal
from support.valkey import ValkeyServer


def fill(valkey: ValkeyServer, count: int, size: int = 3) -> list[str]:
    """Store sessions; return their ids."""
    ids = [f"sess_{number:04}" for number in range(count)]
    for one in ids:
        made = document([0] * size, one, agent_id=f"agent-{one}", agent_name="bob@example.org")
        put(valkey, LAYOUTS["awictl"](made), one)
    return ids


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def without_ttl(data: bytes) -> list[Any]:
    return [
        json.loads(line, object_hook=lambda one: {**one, "ttl_ms": 0} if "ttl_ms" in one else one)
        for line in data.splitlines()
    ]


def test_a_session_goes_home_through_a_pipe(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 3)
    found = sqlite_user("session", "export", "-", stdin="\n".join(ids).encode())
    assert found.code == 0 and found.err == ""
    valkey.raw.flushall()
    done = sqlite_user("session", "import", "-", stdin=found.out)
    assert done.code == 0 and [row["session_id"] for row in done.rows] == ids
    assert [row["outcome"] for row in done.rows] == ["imported"] * 3
    again = sqlite_user("session", "export", *ids)
    assert without_ttl(again.out) == without_ttl(found.out)
    put(valkey, b"{}", ids[1])
    refused = sqlite_user("session", "import", "-", "-o", "ids", stdin=found.out)
    refused.error(4, ids[1], "--as-new")
    assert refused.lines == [ids[0], ids[2]]


def test_lines_can_be_filtered(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 2)
    assert sqlite_user("session", "export", *ids, "--jq", ".session // empty").lines == ids


def test_a_file_appears_when_it_is_complete(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids, file = fill(valkey, 2), sqlite_user.home / "out.jsonl"
    done = sqlite_user("session", "export", *ids, "-f", "out.jsonl")
    assert done.code == 0 and done.out == b"" and "2 sessions with 6 actions written to out.jsonl" in done.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert lines_of(file)[-1] == {"end": {"sessions": 2, "actions": 6, "redacted": {}}}
    before = file.read_bytes()
    sqlite_user("session", "export", ids[0], "-f", "out.jsonl").error(4, "exists", "--force")
    assert file.read_bytes() == before
    assert sqlite_user("session", "export", ids[0], "-f", "out.jsonl", "--force").code == 0
    assert lines_of(file)[-1]["end"]["sessions"] == 1
    assert list(sqlite_user.home.glob("*.part")) == []


def test_errors_with_one_session_do_not_stop_the_others(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 2)
    put(valkey, b"not JSON", "sess_bad")
    done = sqlite_user("session", "export", ids[0], "sess_bad", "sess_none", ids[1], "-f", "out.jsonl")
    assert done.code == 6 and "sess_bad" in done.err and "sess_none" in done.err
    assert [one["session"] for one in lines_of(sqlite_user.home / "out.jsonl") if "session" in one] == ids
    sqlite_user("session", "export", "sess_none").error(3, "sess_none")
    alone = sqlite_user("session", "export", "sess_none", "-f", "none.jsonl")
    alone.error(3, "sess_none")
    assert not list(sqlite_user.home.glob("none*"))


def test_redaction_is_counted_and_named(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids, file = fill(valkey, 2), sqlite_user.home / "out.jsonl"
    done = sqlite_user("session", "export", *ids, "--redact", "email", "--redact", "/agent_id", "-f", "out.jsonl")
    assert done.code == 0 and "redacted values: agent 2, email 1" in done.err
    lines = lines_of(file)
    assert lines[0]["redaction"] == {"patterns": ["email"], "pointers": ["/agent_id"]}
    assert lines[-1]["end"]["redacted"] == {"agent": {"values": 2, "places": 2}, "email": {"values": 1, "places": 2}}
    assert b"example.org" not in file.read_bytes() and b"agent-sess" not in file.read_bytes()
    assert b"nothing was found to redact" in sqlite_user("session", "export", ids[0], "--redact", "card").err.encode()


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ((), "no sessions were selected"),
        (("sess_a", "--where", "actions > 1"), "cannot be combined"),
        (("sess_a", "--redact", "emails"), "neither default, nor a pattern"),
        (("sess_a", "--resume"), "need --file"),
        (("sess_a", "-f", "x", "--jq", "."), "--jq"),
        (("sess_a", "--resume", "--redact", "default", "-f", "x"), "cannot be resumed"),
        (("sess_a", "-f", "none/x"), "none/x.part: No such file"),
        (("sess_a", "-f", ""), "is a folder"),
        (("sess_a", "-f", "/", "--force"), "is a folder"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_read(
    sqlite_user: Cli, words: tuple[str, ...], fragment: str
) -> None:
    sqlite_user("session", "export", *words).error(2, fragment)


def test_a_selection_of_both_stores(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 3)
    assert sqlite_user("session", "end", ids[0]).code == 0
    assert sqlite_user("session", "export", "--where", "actions == 3", "-f", "live.jsonl").code == 0
    assert sqlite_user("session", "export", "--all", "-f", "all.jsonl").code == 0
    found = [
        sorted((one["session"], one["where"]) for one in lines_of(sqlite_user.home / name) if "session" in one)
        for name in ("live.jsonl", "all.jsonl")
    ]
    live = [(ids[1], "live"), (ids[2], "live")]
    assert found == [live, [(ids[0], "archived"), *live]]


def test_an_interrupted_export_is_resumed(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids, part = fill(valkey, 4), sqlite_user.home / "out.jsonl.part"
    whole = sqlite_user("session", "export", *ids).out.splitlines(keepends=True)
    part.write_bytes(b"".join(whole[:10])[:-7])  # in the middle of the third session
    valkey.raw.delete(f"AWI:SESSION:{ids[0]}")  # it is in the file, and not read again
    done = sqlite_user("session", "export", *ids, "-f", "out.jsonl", "--resume")
    assert done.code == 0 and "4 sessions with 12 actions" in done.err
    assert without_ttl((sqlite_user.home / "out.jsonl").read_bytes()) == without_ttl(b"".join(whole))
    part.write_bytes(b"something else\n")
    sqlite_user("session", "export", *ids, "-f", "out.jsonl", "--resume", "--force").error(6, "out.jsonl.part, line 1")
    assert part.read_bytes() == b"something else\n"


def test_a_redacted_session_is_sound_on_a_laptop(awictl: Cli, laptop: Cli, valkey: ValkeyServer) -> None:
    site = awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db", AWI_MAX_ACTIONS_PER_SESSION="4")
    [session_id] = site("session", "create", "--agent", "browser-1", "--name", "bob@example.org", "-o", "ids").lines
    for number in range(7):
        delta = {"page_state": {"filters": {"q": f"u{number % 2}@example.org", "card": 4111111111111111}}}
        words = ["session", "apply", session_id, json.dumps(delta), "--action", "search", "--input", json.dumps(delta)]
        assert site(*words).code == 0
    data = site("session", "export", session_id, "--redact", "default").out
    assert b"example.org" not in data and b"411111" not in data
    home = laptop.having(AWI_EMBEDDED="1")
    done = home("session", "import", "-", stdin=data)
    assert (done.code, done.rows[0]["outcome"], done.rows[0]["actions"]) == (0, "imported", 8)
    assert home("session", "verify", session_id).code == 0
    assert home("session", "show", session_id).json["page_state"]["filters"]["card"] == "<card-1>"
    assert without_ttl(home("session", "export", session_id).out)[1:-1] == without_ttl(data)[1:-1]


@pytest.mark.parametrize("code", [5, 130])
def test_an_export_that_was_interrupted_can_be_resumed(
    code: int, user: Cli, new_valkey: Callable[..., ValkeyServer]
) -> None:
    """By Ctrl-C (exit code 130), or because its server is lost."""
    server = new_valkey()
    first, second = fill(server, 2, 300)
    reader = user.having(REDIS_SOCKET=str(server.socket), AWI_ARCHIVE_URL="sqlite:///archive.db")
    process = subprocess.Popen(
        [sys.executable, "-m", "awictl", "session", "export", "-", "-f", "out.jsonl"],
        cwd=user.home,
        env=dict(reader.env),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write(f"{first}\n".encode())
    process.stdin.flush()
    part = user.home / "out.jsonl.part"
    deadline = time.monotonic() + LIMIT_SECONDS
    while not part.exists() or part.stat().st_size < 20_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if code == 130:
        process.send_signal(signal.SIGINT)
    else:
        server.stop()
        process.stdin.write(f"{second}\n".encode())
        process.stdin.close()
    message = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(LIMIT_SECONDS) == code
    process.stdin.close()
    assert "out.jsonl.part is incomplete; --resume goes on with it" in message
    assert first.encode() in part.read_bytes() and not (user.home / "out.jsonl").exists()


def test_an_export_to_a_file_shows_its_progress(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    fill(valkey, 1)
    script = '(for ((n = 0; ; n++)); do printf "sess_%04d\\n" $n; sleep 0.1; done) | "$@"'
    with on_terminal(sqlite_user, "session", "export", "-", "-f", "out.jsonl", script=script) as terminal:
        terminal.until(lambda text: "/?" in text)
        terminal.press(CTRL_C)
        terminal.until("--resume goes on with it")


def test_a_session_without_its_archived_actions_is_not_exported(awictl: Cli, valkey: ValkeyServer) -> None:
    made = document([0] * 9, "sess_a")
    made["history"] |= {"actions": made["history"]["actions"][4:], "trimmed_actions": 4}
    put(valkey, LAYOUTS["awictl"](made), "sess_a")
    (awictl.home / "archive.db").write_bytes(b"this is no database" * 100)
    broken = awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")("session", "export", "sess_a")
    broken.error(broken.code, "sess_a", "archive", "not exported")
    assert broken.code in (5, 6) and broken.out == b""
    found = awictl("session", "export", "sess_a")
    assert found.code == 0 and found.rows[1]["gaps"] == [[0, 3]]


def test_ctrl_c_ends_an_import_that_waits_for_its_file(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 2)
    data = sqlite_user("session", "export", *ids).out
    valkey.raw.flushall()
    process = subprocess.Popen(
        [sys.executable, "-m", "awictl", "session", "import", "-"],
        cwd=sqlite_user.home,
        env=dict(sqlite_user.env),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(data[: data.rindex(b'{"end"')])
    process.stdin.flush()
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_SECONDS) == 130
    process.stdin.close()


def test_two_exports_do_not_write_one_file(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    import fcntl

    ids = fill(valkey, 1)
    with (sqlite_user.home / "out.jsonl.part").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sqlite_user("session", "export", *ids, "-f", "out.jsonl").error(4, "another export")


def test_a_damaged_file_is_an_error_with_the_line(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 2)
    data = sqlite_user("session", "export", *ids).out
    valkey.raw.flushall()
    file = sqlite_user.home / "cut.jsonl"
    file.write_bytes(data[: len(data) // 2 + 400])
    done = sqlite_user("session", "import", "cut.jsonl")
    done.error(6, "cut.jsonl, line ", "cut off")
    assert [row["session_id"] for row in done.rows] == ids[:1]
    assert valkey.raw.exists(f"AWI:SESSION:{ids[1]}") == 0
    sqlite_user("session", "import", "none.jsonl").error(2, "none.jsonl: No such file")
    sqlite_user("session", "import", ".").error(2, "Is a directory")


def test_read_only_profiles_refuse_to_import(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ids = fill(valkey, 1)
    data = sqlite_user("session", "export", *ids).out
    valkey.raw.flushall()
    reader = sqlite_user.having(AWI_READ_ONLY="1")
    reader("session", "import", "-", stdin=data).error(4, "read-only")
    dry = reader("session", "import", "-", "--dry-run", stdin=data)
    assert dry.code == 0 and dry.rows[0]["outcome"] == "would be imported" and "dry run" in dry.err
    assert valkey.raw.keys() == []
    assert reader("session", "export", "--all").code == 3  # no archive file
    put(valkey, LAYOUTS["app"](document([0], "sess_a")), "sess_a")
    assert reader("session", "export", "sess_a").code == 0


def test_killed_at_any_moment_both_are_completed_by_repeating_them(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    check_kills(sqlite_user, valkey, 60, 2)


@pytest.mark.soak
def test_killed_many_times(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    check_kills(sqlite_user, valkey, 2_000, 25)


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_sessions(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    """The peak of 20,000 sessions is at most 1.25 times that of 1,000."""
    peaks: dict[str, list[int]] = {"plain": [], "redacted": [], "imported": []}
    for count in (1_000, 20_000):
        valkey.raw.flushall()
        fill(valkey, count, 10)
        where = ["--where", "actions == 10", "--force", "-f", "out.jsonl"]
        peaks["redacted"].append(peak_of(sqlite_user, "session", "export", *where, "--redact", "default"))
        peaks["plain"].append(peak_of(sqlite_user, "session", "export", *where))
        valkey.raw.flushall()
        peaks["imported"].append(peak_of(sqlite_user, "session", "import", "out.jsonl", "-o", "ids"))
    print(peaks)
    for small, large in peaks.values():
        assert large <= 1.25 * small, peaks


def peak_of(user: Cli, *words: str) -> int:
    """Run a command in an interpreter of its own; return the peak of its memory in KiB."""
    script = (
        "import sys; from awictl.cli.main import run; code = run(sys.argv[1:]);"
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')];"
        "print(code, *peak, file=open('peak', 'w'))"
    )
    subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=user.home,
        env=dict(user.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    code, _, peak, _ = (user.home / "peak").read_text().split()
    assert code == "0"
    return int(peak)


def check_kills(user: Cli, valkey: ValkeyServer, count: int, kills: int) -> None:
    """Kill an export, then an import, so often, each a little later; then let them finish, and compare."""
    ids = fill(valkey, count, 4)
    export = ["session", "export", "--where", "actions == 4", "-f", "out.jsonl", "--resume"]
    kill_repeatedly(user, export, kills)
    file = user.home / "out.jsonl"
    if not file.exists():
        assert user(*export).code == 0
    lines = lines_of(file)
    assert sorted(one["session"] for one in lines if "session" in one) == ids
    assert lines[-1]["end"] == {"sessions": count, "actions": 4 * count, "redacted": {}}
    before = {one: valkey.raw.get(f"AWI:SESSION:{one}") for one in ids}
    valkey.raw.flushall()
    kill_repeatedly(user, ["session", "import", "out.jsonl"], kills)
    assert user("session", "import", "out.jsonl").code == 0
    for one, raw in before.items():
        assert json.loads(valkey.raw.get(f"AWI:SESSION:{one}")) == json.loads(raw)


def kill_repeatedly(user: Cli, words: list[str], kills: int) -> None:
    for number in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-m", "awictl", *words],
            cwd=user.home,
            env=dict(user.env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.2 + 0.9 * number / kills)
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT_SECONDS)
