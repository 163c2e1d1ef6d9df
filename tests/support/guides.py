"""The Markdown pages of the documentation: their code blocks, run as a reader would run them, from top to bottom.

A page is one scenario: all its blocks run in one bash, on one pseudo-terminal, in an empty home with the embedded
server.

- `sh` blocks must succeed.
- `console` blocks show commands after `$ ` with their output, which must match; a line `…` stands for any lines.
- `python` blocks run in a new interpreter, inside a coroutine if they use `await` or `async with`. A block with
  `module=NAME` after the language is the module of a command, and that command is run.
- A block with `no-test` after the language is not run.

Values that differ from run to run (ids, times, sizes, paths) are masked before the comparison; see `shape`.

With AWICTL_UPDATE_DOCS=1 in the environment the tests rewrite the output that a page shows instead of comparing it.
Output that was shown in part (`…`) and does not match any more is then shown in full; shorten it again.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import forking
from .cli import LIMIT_SECONDS, Cli
from .valkey import free_port

REPOSITORY = Path(__file__).parents[2]
#: The pages whose blocks are run.
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.exists()]
#: The port that the pages let servers listen on; a free one takes its place.
PORT = 8080
#: The MongoDB that the pages name; that of the tests takes its place.
MONGODB = "mongodb://localhost/awi"
#: What the pages show instead of the home folder of the user who runs them.
HOME = "/home/me"
ROWS, COLUMNS = 30, 100
#: A terminal without colours, on which nothing is drawn in place.
_TERMINAL = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
#: Ends the output of each step; the step's number and exit code follow.
_MARK = "\x1e"
_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced code block."""

    language: str
    text: str
    #: False if its info string says no-test.
    tested: bool
    #: The name of the module that it is; empty if it is a program.
    module: str
    #: Offset of its text in the page.
    start: int


@dataclass(frozen=True)
class Step:
    """What is run at once: a whole block, or one command of a console block."""

    command: str
    language: str
    #: The output that the page shows; None if it shows none.
    shown: str | None
    #: Where in the page that output is.
    span: tuple[int, int]


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page."""
    return [
        Block(
            found[1],
            found[3],
            "no-test" not in found[2].split(),
            found[2].partition("module=")[2].strip(),
            found.start(3),
        )
        for found in _BLOCK.finditer(page.read_text())
    ]


def steps(page: Path) -> list[Step]:
    """What a page lets its reader run."""
    found: list[Step] = []
    for block in blocks(page):
        if block.tested and block.language in ("sh", "python"):
            text = _as_module(block) if block.module else block.text
            found.append(Step(text, block.language, None, (block.start, block.start)))
        elif block.tested and block.language == "console":
            found += _console_steps(block)
    return found


def _console_steps(block: Block) -> list[Step]:
    found = []
    for part in re.finditer(r"^\$ ((?:[^\n]*\\\n)*[^\n]*\n)((?:(?!\$ )[^\n]*\n)*)", block.text, re.MULTILINE):
        span = (block.start + part.start(2), block.start + part.end(2))
        found.append(Step(part[1], "console", part[2], span))
    return found


def needs_mongodb(page: Path) -> bool:
    """Whether a page uses a MongoDB."""
    return any(MONGODB in step.command for step in steps(page))


def run(page: Path, user: Cli, mongodb: str = MONGODB) -> list[tuple[Step, str]]:
    """Run all steps of a page. Returns each with its output. Fails if a step of a `sh` or `python` block does.

    `mongodb`: the URL of the MongoDB to use.
    """
    todo = steps(page)
    user = user.lacking("XDG_CONFIG_HOME", "XDG_DATA_HOME")
    shims = user.home / ".shims"
    _prepare(user, shims)
    jq = 'if command -v jq > /dev/null; then jq() { command jq -M "$@"; }; else jq() { cat; }; fi'
    script = ["set -euo pipefail", jq]
    port = free_port()
    for number, step in enumerate(todo):
        script += _lines(number, step, user, {str(PORT): str(port), MONGODB: mongodb})
    file = user.home / ".page.sh"
    file.write_text("\n".join(script) + "\n")
    env = user.env | {"PATH": f"{shims}{os.pathsep}{user.env['PATH']}", "AWI_EMBEDDED": "1"} | _TERMINAL
    output = _on_terminal(["bash", str(file)], user.home, env)
    parts = re.split(rf"{_MARK}(\d+)\n", output)
    if len(parts) // 2 < len(todo):
        failed = todo[len(parts) // 2]
        raise AssertionError(f"{page.name}: this block failed:\n{failed.command}\n{parts[-1]}")
    shown = [
        _anonymous(text, user.home).replace(mongodb, MONGODB).replace(str(port), str(PORT)) for text in parts[:-1:2]
    ]
    return list(zip(todo, shown, strict=True))


def _anonymous(text: str, home: Path) -> str:
    """Output with another home folder, also if a cell was cut in the middle of its path."""
    return re.sub(rf"{re.escape(str(home.parent))}(/\S*)?…", "/home…", text.replace(str(home), HOME))


def _prepare(user: Cli, shims: Path) -> None:
    """Give the user the profile that the pages mention, and an `awictl` that starts quickly."""
    config = user.home / ".config" / "awictl" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[profiles.production]\nread_only = true\n")
    shims.mkdir()
    forking.write_shim(shims / "awictl")


def _lines(number: int, step: Step, user: Cli, instead: Mapping[str, str]) -> list[str]:
    """A step as lines of the script. `instead`: what takes the place of what the page names."""
    command = step.command
    for named, real in instead.items():
        command = command.replace(named, real)
    if step.language == "python":
        file = user.home / f".block{number}.py"
        file.write_text(_program(command))
        command = f"{sys.executable} {file}\n"
    if step.language == "console":
        command = f"set +e\n{command}set -e\n"
    return [f"{command}printf '{_MARK}{number}\\n'"]


def _program(block: str) -> str:
    """The text of a program: the block itself, or a coroutine if it waits for something outside of functions."""
    if not re.search(r"^(async with|async for|.*\bawait\b)", block, re.MULTILINE) or "\nasync def" in f"\n{block}":
        return block
    return f"import asyncio\n\nasync def main():\n{textwrap.indent(block, '    ')}\nasyncio.run(main())\n"


def _as_module(block: Block) -> str:
    """A program that defines the command of a module as awictl would, and runs it."""
    package, _, verb = block.module.rpartition(".")
    run = f"build_command(command, {verb!r}).main([], standalone_mode=False)"
    start = f"from awictl.cli.framework.typer_command import build_command\n{run}"
    return f"__package__ = {package!r}\n{block.text}\n{start}\n"


def _on_terminal(command: list[str], folder: Path, env: dict[str, str]) -> str:
    """Run a command on a terminal that prints what it gets as it is. Returns what it printed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    mode = termios.tcgetattr(theirs)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    output = bytearray()
    deadline = time.monotonic() + LIMIT_SECONDS * 2
    try:
        while select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                output += os.read(ours, 1 << 16)
            except OSError:  # EIO: no process has the terminal open any more
                break
        else:
            raise AssertionError(f"this takes too long: {output.decode()[-2000:]}")
    finally:
        os.close(ours)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what the page left running
        process.wait()
    return output.decode()


# -- comparing


def shape(text: str) -> list[str]:
    """Output without what differs from run to run: ids, numbers, times, paths, widths, and values that are cut."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"\S*…", "…", line)
        line = re.sub(r"(?<=\?token=)[\w-]{20,}", "#", line)
        line = re.sub(r"(?<![0-9A-Za-z])[0-9a-f]{12,}(?![0-9A-Za-z])", "#", line)
        line = re.sub(r"\d+(?:[.,:-]\d+)*", "0", line)
        line = re.sub(r"(?<!\w)0(?:ms|[smhd])(?: 0(?:ms|[smhd]))*(?!\w)", "0s", line)
        line = re.sub(r"([─█])\1*", r"\1", line)
        line = line.replace(" behind this machine's", " ahead of this machine's")  # doctor, about a clock
        lines.append(" ".join(line.split()))
    return lines


def matches(shown: str, printed: str) -> bool:
    """Whether the output that a page shows is what was printed, but for what `shape` masks.

    Line breaks do not count, and lines may be in another order: a scan finds keys in any.
    """
    if sorted(shape(shown)) == sorted(shape(printed)):
        return True
    parts = [re.escape(_flat(part)) for part in re.split(r"^…$", shown, flags=re.MULTILINE)]
    return re.fullmatch(".*".join(parts), _flat(printed)) is not None


def _flat(text: str) -> str:
    return " ".join(" ".join(shape(text)).split())


def update(page: Path, done: list[tuple[Step, str]]) -> None:
    """Rewrite the output that a page shows if some of it does not match: all of it, so that its ids agree.

    Output that matches and is shown in part (`…`) stays.
    """
    if all(step.shown is None or matches(step.shown, printed) for step, printed in done):
        return
    text = page.read_text()
    for step, printed in reversed(done):
        if step.shown is not None and not (matches(step.shown, printed) and "\n…\n" in f"\n{step.shown}"):
            start, end = step.span
            lines = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
            text = text[:start] + lines + text[end:]
    page.write_text(text)


def missing_tools(page: Path) -> list[str]:
    """The programs that a page uses and that are not installed here, but for jq, which can be done without."""
    text = "".join(step.command for step in steps(page))
    return [name for name in ("curl",) if re.search(rf"\b{name}\b", text) and shutil.which(name) is None]


def comparable(step: Step) -> bool:
    """Whether the output of a step can be what is shown: not without jq."""
    return shutil.which("jq") is not None or "jq" not in step.command


def difference(page: Path, step: Step, printed: str) -> str:
    """What to say if a step printed something else."""
    shown = step.shown or ""
    lines = difflib.unified_diff(shape(shown), shape(printed), "shown", "printed", lineterm="", n=1)
    return "\n".join(
        [
            f"{page.name}: the output of this command has changed (AWICTL_UPDATE_DOCS=1 rewrites it):",
            f"$ {step.command}{printed}",
            *lines,
        ]
    )
