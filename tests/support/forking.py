"""Run commands in processes that are forked from one which has imported awictl, to save the start of Python.

The start of Python and its imports take most of the time of a short command, and the tests run thousands. So one
process imports all of awictl and forks for each command. The child has the environment, working directory, stdin,
stdout and stderr of that command, runs what `python -m awictl` runs, and exits as an interpreter does. The start itself
is tested with new interpreters (`Cli.fresh`, `Cli.start`).
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import os
import pickle
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

_SIZE = 4


# -- in the test worker


@cache
def forker() -> str:
    """Start the forking process of this test worker, which exits with it; return the path of its socket."""
    address = str(Path(tempfile.mkdtemp(prefix="awi-fork-", dir="/tmp")) / "socket")
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "LANG": "C.UTF-8"},
    )
    assert process.stdin is not None and process.stdout is not None

    def end() -> None:
        process.communicate()  # closes its stdin, at which it exits
        Path(address).unlink()
        Path(address).parent.rmdir()

    atexit.register(end)
    assert process.stdout.readline() == b"ready\n"
    return address


class Forked:
    """A command in a process of its own; close it, or use it as a context manager."""

    def __init__(self, words: Sequence[str | bytes], connection: socket.socket) -> None:
        self._words = words
        self._connection = connection
        #: The id of its process.
        self.pid = int.from_bytes(_receive(connection, _SIZE), "big")
        self._code: int | None = None
        self._lock = threading.Lock()

    def wait(self, timeout: float | None) -> int:
        """Wait for its end and return its exit code; a negative one is a signal. Raises subprocess.TimeoutExpired."""
        if self._code is None and not select.select([self._connection], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(["awictl", *map(os.fsdecode, self._words)], timeout or 0)
        with self._lock:
            if self._code is None:
                self._code = int.from_bytes(_receive(self._connection, _SIZE), "big", signed=True)
        return self._code

    def close(self) -> None:
        """Forget it."""
        self._connection.close()

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ForkedProcess:
    """A command in a process of its own, with what tests use of subprocess.Popen; its stderr is a pipe."""

    def __init__(self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        ours, theirs = os.pipe()
        with open(os.devnull, "r+b") as null:  # noqa: PTH123  # not a path of the file system
            self._forked = start(words, cwd=cwd, env=env, fds=(null.fileno(), null.fileno(), theirs))
        os.close(theirs)
        self.stderr = os.fdopen(ours, "rb")
        self.pid = self._forked.pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code. Raises subprocess.TimeoutExpired."""
        self.returncode = self._forked.wait(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it runs."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close its stderr, and forget it."""
        self.stderr.close()
        self._forked.close()


def start(
    words: Sequence[str | bytes],
    *,
    cwd: Path,
    env: Mapping[str, str],
    fds: tuple[int, int, int],
    on_terminal: bool = False,
) -> Forked:
    """Start `awictl WORDS` with stdin, stdout and stderr, which stay open here.

    on_terminal: let its process lead a session of its own; stdin becomes its controlling terminal.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(forker())
    request = pickle.dumps(([os.fsencode(one) for one in words], str(cwd), dict(env), on_terminal))
    socket.send_fds(connection, [len(request).to_bytes(_SIZE, "big")], list(fds))
    connection.sendall(request)
    return Forked(words, connection)


def run(
    words: Sequence[str | bytes],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes,
    timeout: float,
    terminal: tuple[int, int] | None = None,
) -> tuple[int, bytes, bytes]:
    """Run `awictl WORDS`; return exit code, stdout and stderr. Raises subprocess.TimeoutExpired.

    terminal: rows and columns of a terminal that stdout and stderr are; all its output is returned as stdout.
    """
    pipes = [os.pipe() for _ in range(3)]
    (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = pipes
    if terminal is not None:
        for fd in (ours_out, theirs_out, theirs_err):
            os.close(fd)
        ours_out, theirs_out = os.openpty()
        fcntl.ioctl(theirs_out, termios.TIOCSWINSZ, struct.pack("HHHH", *terminal, 0, 0))
        theirs_err = os.dup(theirs_out)
    with start(words, cwd=cwd, env=env, fds=(theirs_in, theirs_out, theirs_err)) as command:
        for fd in (theirs_in, theirs_out, theirs_err):
            os.close(fd)
        read: dict[int, bytes] = {}

        def drain(fd: int) -> None:
            read[fd] = b""
            with os.fdopen(fd, "rb", buffering=0) as stream, suppress(OSError):  # EIO: the terminal is closed
                while chunk := stream.read(1 << 16):
                    read[fd] += chunk

        def feed() -> None:
            try:
                with os.fdopen(ours_in, "wb") as stream:
                    stream.write(stdin)
            except BrokenPipeError:
                pass

        threads = [threading.Thread(target=drain, args=(fd,)) for fd in (ours_out, ours_err)]
        threads.append(threading.Thread(target=feed))
        for thread in threads:
            thread.start()
        try:
            code = command.wait(timeout)
        except subprocess.TimeoutExpired:
            os.kill(command.pid, signal.SIGKILL)
            raise
        finally:
            for thread in threads:
                thread.join()
    return code, read[ours_out], read[ours_err]


def write_shim(file: Path) -> None:
    """Write a program `awictl` that runs commands in forked processes, but for servers."""
    file.write_text(
        f'#!/bin/sh\ncase " $* " in *" serve "*) exec {sys.executable} -m awictl "$@";; esac\n'
        f'exec {sys.executable} -I -S {Path(__file__).with_name("forked.py")} {forker()} "$@"\n'
    )
    file.chmod(0o755)


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        assert chunk, "the forking process has exited"
        data += chunk
    return data


# -- in the forking process


def _serve(address: str) -> None:
    """Fork for each connection until stdin is closed. Returns only in the children, which then run the command."""
    _import_all()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    connections: dict[int, socket.socket] = {}
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, ended, 0], [], [])
        if 0 in readable:
            os._exit(0)
        if ended in readable:
            ended.recv(1 << 16)
            _report(connections)
        if listener in readable:
            connection, _ = listener.accept()
            try:
                header, fds, _, _ = socket.recv_fds(connection, _SIZE, 3)
                request = _receive(connection, int.from_bytes(header, "big"))
            except (AssertionError, ConnectionError):  # killed in the meantime
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for one in (listener, ended, wake, connection, *connections.values()):
                    one.close()
                _become(request, fds)
                return
            for fd in fds:
                os.close(fd)
            connections[pid] = connection
            with suppress(ConnectionError):
                connection.sendall(pid.to_bytes(_SIZE, "big"))


def _import_all() -> None:
    """Import what commands import, and keep the garbage collector from touching it in every child."""
    import awictl

    for module in pkgutil.walk_packages(awictl.__path__, "awictl."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    for name in ("concurrent.futures.thread", "rich.console", "rich.live", "rich.table"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _report(connections: dict[int, socket.socket]) -> None:
    """Report the exit codes of the commands that have ended."""
    while connections:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with connections.pop(pid) as connection, suppress(ConnectionError):  # nobody waits for it
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(_SIZE, "big", signed=True))


def _become(request: bytes, fds: Sequence[int]) -> None:
    """Become the process of a command."""
    words, cwd, env, on_terminal = pickle.loads(request)  # noqa: S301  # from the test worker
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    if on_terminal:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["awictl", *map(os.fsdecode, words)]
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    files = io.FileIO(0, "rb", closefd=False), io.FileIO(1, "wb", closefd=False), io.FileIO(2, "wb", closefd=False)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(files[0]), encoding, errors)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(files[1]), encoding, errors)
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(files[2]), encoding, "backslashreplace", line_buffering=True)


def _end(code: object) -> NoReturn:
    """Exit as an interpreter does, but without freeing all objects, which takes longer than most commands."""
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        code = 120
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(sys.argv[1])
    from awictl.__main__ import main

    try:
        main()
    except SystemExit as ended:
        _end(ended.code)
