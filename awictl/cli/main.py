"""The root of the command tree. A group or command is imported when it runs."""

import errno
import importlib
import io
import sys
from typing import TYPE_CHECKING, Any

from .._version import __version__
from .framework.error_report import report
from .framework.stdout import flush, print_lines

if TYPE_CHECKING:
    from .framework.group import LazyGroup

#: Groups and commands, in the order of the help. Each has a folder of its name.
COMMANDS = {
    "session": "Create, read, update and end sessions.",
    "archive": "Archive sessions before they expire; find and restore archived ones.",
    "agent": "Register agents, revoke their API keys, and find their sessions.",
    "cache": "Inspect cached query results, and diagnose cache misses.",
    "media": "Cache images and their embeddings, and find similar images.",
    "keys": "List AWI's keys; show their TTLs, sizes and memory.",
    "serve": "Serve the HTTP API of the Express app.",
    "ui": "Open the inspector, a page on which to find sessions, scrub through them, and follow them.",
    "embedded": "Start and stop the embedded server, a private Valkey.",
    "demo": "Demonstrate the life of a session on the embedded server.",
    "health": "Check that Redis and the archive respond.",
    "top": "Monitor all sessions on a full screen.",
    "monitor": "Print the commands that clients run on AWI's keys.",
    "doctor": "Check the server, the data and the archive, and suggest remedies.",
    "bench": "Measure your own servers, sessions and pages.",
    "migrate": "Move all live sessions from Redis to MongoDB, or back.",
    "config": "Show the settings in use, list profiles, and create config.toml.",
    "completion": "Print the completion script of a shell.",
    "help": "Show the help of awictl, of a group or of a command, like --help.",
    "version": "Print the version, like --version.",
}


def _load(name: str) -> Any:
    """Import a group or a command of the root. A group's folder names its commands; a command is in `command.py`."""
    from .framework.group import load_command, load_group

    package = importlib.import_module(f".{name}", __package__)
    if names := getattr(package, "COMMANDS", None):
        return load_group(package.__name__, names, COMMANDS[name])
    return load_command(f"{package.__name__}.command", name)


def root_group() -> "LazyGroup":
    """The command tree; its branches are not imported yet."""
    from .framework.root import build_root

    return build_root(COMMANDS, _load)


def run(arguments: list[str]) -> int:
    """Run the command line `arguments`, without the program name. Returns the exit code."""
    if sys.stdout is None:
        return report(OSError(errno.EBADF, "stdout is closed"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        if isinstance(sys.stdout.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: a raw stream may write only a part
            sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.detach()), sys.stdout.encoding)
            sys.__stdout__ = sys.stdout  # type: ignore[misc]  # the terminal's size is asked of this one
        sys.stdout.reconfigure(errors="backslashreplace")  # stdout may not be UTF-8
    try:
        code = _run(arguments)
        flush()
    except SystemExit:  # raised by Click if the reader of a help page has closed the pipe
        return report(BrokenPipeError())
    except BaseException as error:
        return report(error)
    return code


def _run(arguments: list[str]) -> int:
    """Run the command line. Typer, whose import takes longer than most commands, is asked only if need be."""
    if arguments == ["--version"]:
        print_lines([f"awictl {__version__}"])
        return 0
    from .framework.quick_parse import quick_parse

    if (invocation := quick_parse(arguments, __package__, COMMANDS)) is not None:
        return invocation()
    from .framework.root import run_with_typer

    return run_with_typer(root_group(), arguments)
