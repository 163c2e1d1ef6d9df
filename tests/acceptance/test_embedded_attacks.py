"""Attacks on the embedded server: folders and sockets of other users, stale pid files, other temporary folders."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.embedded import kill_servers, servers_in
from support.intruder import intruder, needs_root, received, uid_of_nobody

CREATE = ("--embedded", "session", "create", "--agent", "a", "--name", "secret", "-o", "ids", "-q")
LONG = "/".join(["a-very-long-name-of-a-folder"] * 6)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which every user may create files, such as /tmp."""
    with tempfile.TemporaryDirectory(prefix="awi-shared-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder
        kill_servers(folder)


# -- other users


@needs_root
def test_a_socket_in_the_temporary_folder_is_not_used(laptop: Cli, shared: Path) -> None:
    """Where the path of the data folder is too long for a socket, there must be no guessable place instead."""
    folder = laptop.home / LONG
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    guessed = shared / f"awictl-{os.getuid()}-{digest}"
    guessed.mkdir()
    user = laptop.having(AWI_EMBEDDED_DIR=str(folder), TMPDIR=str(shared))
    with intruder(guessed / "valkey.sock") as process:
        session_id = user.ok(*CREATE).text.strip()
        assert user.ok("--embedded", "session", "list", "-o", "ids").lines == [session_id]
        assert received(process) == b""


@needs_root
@pytest.mark.parametrize("words", [CREATE, ("embedded", "start"), ("embedded", "status"), ("embedded", "stop")])
@pytest.mark.parametrize("owner", ["another user", "this user, but every user may write"])
def test_a_folder_that_others_can_access_is_refused(
    laptop: Cli, shared: Path, owner: str, words: tuple[str, ...]
) -> None:
    folder = shared / "data"
    folder.mkdir()
    (folder / "lock").touch()
    user = laptop.having(AWI_EMBEDDED_DIR=str(folder))
    with intruder(folder / "valkey.sock") as process:
        if owner == "another user":
            os.chown(folder, uid_of_nobody(), -1)
            folder.chmod(0o700)
        else:
            folder.chmod(0o777)
        user(*words).error(4, str(folder), "another user" if owner == "another user" else "chmod 700")
        assert received(process) == b""
    assert folder.stat().st_mode & 0o777 == (0o700 if owner == "another user" else 0o777)


@needs_root
def test_a_symbolic_link_is_refused(laptop: Cli, shared: Path) -> None:
    (target := laptop.home / "private").mkdir(mode=0o700)
    link = shared / "data"
    link.symlink_to(target)
    os.lchown(link, uid_of_nobody(), -1)
    laptop.having(AWI_EMBEDDED_DIR=str(link))(*CREATE).error(4, str(link), "symbolic link")
    assert list(target.iterdir()) == []


@needs_root
@pytest.mark.parametrize("words", [CREATE, ("embedded", "stop")])
def test_a_process_of_another_user_receives_nothing(laptop: Cli, words: tuple[str, ...]) -> None:
    """The folder is private, but somebody else listens on the socket in it."""
    folder = laptop.home / "data" / "awictl" / "embedded"
    laptop.ok("embedded", "start")
    laptop.ok("embedded", "stop")
    with intruder(folder / "valkey.sock") as process:
        result = laptop(*words)
        if words == CREATE:
            result.error(4, "another user", str(folder / "valkey.sock"))
        assert received(process) == b""


# -- one server, whatever the environment


@pytest.mark.parametrize("name", ["short", LONG])
def test_another_temporary_folder_finds_the_same_server(laptop: Cli, name: str) -> None:
    here = laptop.having(AWI_EMBEDDED_DIR=str(laptop.home / name))
    session_id = here.ok(*CREATE).text.strip()
    (laptop.home / "tmp").mkdir()
    there = here.having(TMPDIR=str(laptop.home / "tmp"))
    assert there.ok("--embedded", "session", "list", "-o", "ids").lines == [session_id]
    assert there.ok("embedded", "status").json["answers"] is True
    there.ok("embedded", "stop")
    assert len(servers_in(laptop.home / name)) == 1


# -- stale pid files


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with awictl."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_stop_during_a_start_does_not_kill_a_stranger(laptop: Cli, stranger: subprocess.Popen[bytes]) -> None:
    """While a server starts, its pid file is still that of the previous one, whose number a stranger has by now."""
    folder = laptop.home / "data" / "awictl" / "embedded"
    laptop.ok("embedded", "start")
    laptop.ok("embedded", "stop")
    for _ in range(2):  # a stranger was killed in nine of ten starts
        (folder / "valkey.pid").write_text(f"{stranger.pid}\n")
        starting = threading.Thread(target=laptop, args=("embedded", "start"))
        starting.start()
        while starting.is_alive():
            assert laptop("embedded", "stop").code in (0, 5)
        starting.join()
        assert stranger.poll() is None
        assert laptop("embedded", "stop").code == 0


def test_stop_kills_a_suspended_server_but_no_stranger(laptop: Cli, stranger: subprocess.Popen[bytes]) -> None:
    folder = laptop.home / "data" / "awictl" / "embedded"
    pid = laptop.ok("embedded", "start").json["pid"]
    (folder / "valkey.pid").write_text(f"{stranger.pid}\n")
    os.kill(pid, signal.SIGSTOP)
    assert laptop.ok("embedded", "status").json["pid"] == pid
    laptop.ok("embedded", "stop")
    assert stranger.poll() is None and laptop("embedded", "status").code == 3


def test_a_lock_that_somebody_else_holds_kills_nobody(laptop: Cli, stranger: subprocess.Popen[bytes]) -> None:
    """The worst case in slow motion: the folder is locked, nothing listens, and the pid file names a stranger."""
    folder = laptop.home / "data" / "awictl" / "embedded"
    laptop.ok("embedded", "start")
    laptop.ok("embedded", "stop")
    (folder / "valkey.pid").write_text(f"{stranger.pid}\n")
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"\n"
        stopping = laptop.start("embedded", "stop")
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                stopping.wait(3)
            assert stranger.poll() is None and holder.poll() is None
            holder.kill()
            assert stopping.wait(30) == 0
        finally:
            stopping.kill()
            stopping.communicate()
    assert stranger.poll() is None
