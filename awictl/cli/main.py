"""The root of the command tree. A group or command is imported when it runs."""

import errno
import importlib
import io
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from .._version import __version__
from ..errors import InvalidInput
from .framework.error_report import report
from .framework.global_options import CONTEXT_SETTINGS, remember_options, with_global_options
from .framework.group import LazyGroup, load_command, load_group
from .framework.stdout import flush

#: Groups and commands, in the order of the help. Each has a folder of its name.
COMMANDS = {
    "session": "Create, read, update and end sessions.",
    "archive": "Archive sessions before they expire; find and restore archived ones.",
    "agent": "Register agents, revoke their API keys, and find their sessions.",
    "cache": "Inspect cached query results, and diagnose cache misses.",
    "media": "Cache images and their embeddings, and find similar images.",
    "keys": "List AWI's keys; show their TTLs, sizes and memory.",
    "serve": "Serve the HTTP API of the Express app.",
    "embedded": "Start and stop the embedded server, a private Valkey.",
    "demo": "Demonstrate the life of a session on the embedded server.",
    "health": "Check that Redis and the archive respond.",
    "top": "Monitor all sessions on a full screen.",
    "monitor": "Print the commands that clients run on AWI's keys.",
    "doctor": "Check the server, the data and the archive, and suggest remedies.",
    "config": "Show the settings in use, list profiles, and create config.toml.",
    "completion": "Print the completion script of a shell.",
    "help": "Show the help of awictl, of a group or of a command, like --help.",
    "version": "Print the version, like --version.",
}


def _load(name: str) -> Any:
    """Import a group or a command of the root. A group's folder names its commands; a command is in `command.py`."""
    package = importlib.import_module(f".{name}", __package__)
    if names := getattr(package, "COMMANDS", None):
        return load_group(package.__name__, names, COMMANDS[name])
    return load_command(f"{package.__name__}.command", name)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"awictl {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    help="Inspect and manage AWI sessions: the state that a site keeps for each web agent in Redis.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT_SETTINGS,
)


@app.callback(
    epilog="\b\nExamples:\n  awictl demo\n  awictl --embedded session list\n"
    "  awictl --redis redis://redis.example.com session list --idle 20m\n"
    "  awictl session show ID | jq .page_state"
)
@with_global_options
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    **options: Any,
) -> None:
    remember_options(ctx, **options)


def root_group() -> LazyGroup:
    """The command tree; its branches are not imported yet."""
    group = get_command(app)
    assert isinstance(group, LazyGroup)  # noqa: S101  # `cls` above
    group.set_commands(COMMANDS, _load, COMMANDS)
    return group


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
        code = root_group().main(arguments, prog_name="awictl", standalone_mode=False)
        flush()
    except typer.TyperException as error:  # a usage error
        return _report_usage(error)
    except SystemExit:  # raised by Click if the reader of a help page has closed the pipe
        return report(BrokenPipeError())
    except BaseException as error:
        return report(error)
    return code if isinstance(code, int) else 0


#: Click's names of number types, as in "'abc' is not a valid int range".
_NUMBER_TYPES = {
    "int range": "an integer",
    "float range": "a number",
    "integer": "an integer",
    "float": "a number",
}


def _report_usage(error: typer.TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return 2
    path = getattr(getattr(error, "ctx", None), "command_path", "awictl")
    message = error.format_message().removesuffix(".")
    for name, plain in _NUMBER_TYPES.items():
        message = message.replace(f"is not a valid {name}", f"is not {plain}")
    return report(InvalidInput(f"{message} (see `{path} --help`)"))
