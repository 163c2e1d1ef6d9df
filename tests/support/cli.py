"""Run the command as a user would: in a separate process, with a clean environment and an empty home folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from . import forking
from .valkey import ValkeyServer

#: Maximum duration of a command, in seconds; then its test fails.
LIMIT_SECONDS = 60.0
#: Characters that no message and no table may contain: they could control the terminal.
_CONTROLS = frozenset(map(chr, [*range(10), *range(11, 32), *range(127, 160)])) | {"\u202e", "\u2028"}


def machine() -> dict[str, str]:
    """The variables of this process's environment that describe the machine, and that no test sets for itself.

    They are the time zone, the locale, and the shifted clock (`.ci/ahead`): a command under test that ran without them
    would prove nothing about them.
    """
    names = {"TZ", "LC_ALL"}
    if "FAKETIME" in os.environ:
        names |= {"LD_PRELOAD", "NO_FAKE_STAT", "PYTHONPATH"}
        names |= {name for name in os.environ if name.startswith("FAKETIME")}
    return {name: os.environ[name] for name in names if name in os.environ}


#: A progress bar of Rich, from hiding the cursor until it is erased.
_PROGRESS = re.compile(rb"\x1b\[\?25l[^\x1b].*?\x1b\[\?25h\r\x1b\[1A\x1b\[2K", re.DOTALL)


def without_progress(sent: bytes) -> bytes:
    """What was sent to a terminal, but for the progress bars that have been erased."""
    return _PROGRESS.sub(b"", sent)


@dataclass(frozen=True)
class Result:
    """Exit code, output and duration of a command."""

    code: int
    out: bytes
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """stdout as text."""
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        """stdout as lines of text."""
        return self.text.splitlines()

    @property
    def json(self) -> Any:
        """stdout as JSON; it must be one value on one line."""
        assert self.out.count(b"\n") == 1 and self.out.endswith(b"\n"), self
        return json.loads(self.out)

    @property
    def rows(self) -> list[Any]:
        """stdout as JSON lines: one value per line."""
        assert not self.out or self.out.endswith(b"\n"), self
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self, code: int, *fragments: str) -> str:
        """Return the one line on stderr of a command that failed with `code`; it must contain all `fragments`."""
        assert self.code == code, self
        assert self.err.endswith("\n") and self.err.count("\n") == 1, self
        assert self.err.startswith("awictl: "), self
        assert "Traceback" not in self.err and not self.err.startswith("awictl: unexpected "), self
        assert not _CONTROLS & set(self.err), self
        for fragment in fragments:
            assert fragment in self.err, (fragment, self)
        return self.err

    def logged_error(self, code: int, *fragments: str) -> str:
        """Return the error in the log of a command that failed with `code`; every line on stderr must be JSON."""
        assert self.code == code, self
        rows = [json.loads(line) for line in self.err.splitlines()]
        [message] = [row["message"] for row in rows if row["level"] == "error"]
        assert isinstance(message, str) and "traceback" not in rows[-1] and not message.startswith("unexpected "), self
        for fragment in fragments:
            assert fragment in message, (fragment, self)
        return message

    def table(self) -> str:
        """Return the printed table, which must contain no control characters."""
        assert self.code == 0, self
        assert not _CONTROLS & set(self.text), self
        return self.text


@dataclass(frozen=True)
class Cli:
    """A user of awictl: a home folder, which is also the working directory, and an environment."""

    home: Path
    env: Mapping[str, str]
    #: Whether each command starts a new interpreter instead of being forked; see `forking`.
    fresh: bool = False

    @classmethod
    def at(cls, home: Path, **env: str) -> Cli:
        """Return a user with an empty home on a machine without configuration."""
        home.mkdir(parents=True, exist_ok=True)
        clean = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }
        return cls(home, clean | machine() | env)

    def having(self, **env: str) -> Cli:
        """Return the same user with further environment variables."""
        return replace(self, env={**self.env, **env})

    def lacking(self, *names: str) -> Cli:
        """Return the same user without some environment variables."""
        return replace(self, env={name: value for name, value in self.env.items() if name not in names})

    def configure(self, text: str) -> None:
        """Write the user's config.toml."""
        file = self.home / "config" / "awictl" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @property
    def starts_afresh(self) -> bool:
        """Whether a command starts a new interpreter: also if variables for it are set."""
        return self.fresh or any(name.startswith("PYTHON") for name, _ in self.env.items() - machine().items())

    def __call__(self, *words: str | bytes, stdin: bytes = b"") -> Result:
        """Run `awictl WORDS` and wait for its end."""
        if self.starts_afresh:
            return self._run([sys.executable, "-m", "awictl", *words], stdin)
        started = time.monotonic()
        code, out, err = forking.run(words, cwd=self.home, env=self.env, stdin=stdin, timeout=LIMIT_SECONDS)
        return Result(code, out, err.decode(), time.monotonic() - started)

    def on_screen(self, *words: str, columns: int = 80, rows: int = 24) -> Result:
        """Run `awictl WORDS` with stdout and stderr on a terminal; all its output is the stdout of the result.

        But for the progress that it may have shown: how long it takes depends on the machine.
        """
        started = time.monotonic()
        code, out, _ = forking.run(
            words, cwd=self.home, env=self.env, stdin=b"", timeout=LIMIT_SECONDS, terminal=(rows, columns)
        )
        return Result(code, without_progress(out).replace(b"\r\n", b"\n"), "", time.monotonic() - started)

    def ok(self, *words: str | bytes, stdin: bytes = b"") -> Result:
        """Run `awictl WORDS`, which must succeed."""
        result = self(*words, stdin=stdin)
        assert result.code == 0, result
        return result

    def python(self, *words: str) -> Result:
        """Run this Python interpreter."""
        return self._run([sys.executable, *words], b"")

    def shell(self, script: str, *arguments: str) -> Result:
        """Run a bash script with `awictl` on its PATH and `pipefail` set."""
        return self._run(["bash", "-o", "pipefail", "-c", script, "bash", *arguments], b"")

    def start(
        self, *words: str, stdin: int = subprocess.DEVNULL, stdout: int | IO[Any] = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Start `awictl WORDS` without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "awictl", *words],
            cwd=self.home,
            env=self.env,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    def _run(self, command: list[str | bytes], stdin: bytes) -> Result:
        started = time.monotonic()
        done = subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.home, env=self.env, timeout=LIMIT_SECONDS, check=False
        )
        return Result(done.returncode, done.stdout, done.stderr.decode(), time.monotonic() - started)


def finish(process: subprocess.Popen[bytes]) -> Result:
    """Wait for a process that `Cli.start` started."""
    started = time.monotonic()
    try:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Result(process.returncode, out or b"", err.decode(), time.monotonic() - started)


#: Key → (its DUMP, its TTL in milliseconds; -1 if it never expires).
Data = dict[bytes, tuple[bytes, int]]


def data_of(server: ValkeyServer) -> Data:
    """Return all data of a server."""
    keys: list[bytes] = list(server.raw.scan_iter(count=1000))
    with server.raw.pipeline() as pipe:
        for key in keys:
            pipe.dump(key).pttl(key)
        replies = iter(pipe.execute())
    return dict(zip(keys, zip(replies, replies, strict=True), strict=True))


@contextmanager
def unchanged(server: ValkeyServer) -> Iterator[None]:
    """Fail if the block changed, added or removed a key, or extended a TTL."""
    before = data_of(server)
    yield
    after = data_of(server)
    assert {key: dump for key, (dump, _) in after.items()} == {key: dump for key, (dump, _) in before.items()}
    for key, (_, left) in after.items():
        was = before[key][1]
        assert left == was == -1 or 0 <= was - left < LIMIT_SECONDS * 2000, (key, was, left)
