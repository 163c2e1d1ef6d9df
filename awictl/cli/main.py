"""The root of the command tree. Its branches are imported only when one of their commands runs."""

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
from .framework.global_options import remember_options, with_global_options
from .framework.group import LazyGroup, load_command, load_group
from .framework.stdout import flush

#: Groups and commands, in the order of the help. Each has a folder of its name.
COMMANDS = {
    "session": "Create, read, update and end sessions.",
    "archive": "Archive sessions before they expire; find and restore archived ones.",
    "agent": "Register agents, revoke their API keys, and find their sessions.",
    "cache": "The cached results of queries, and why a query is not cached.",
    "media": "Cached pictures and their embeddings.",
    "keys": "All keys of AWI on the server: what they are for, how large, and how long they stay.",
    "serve": "Serve the HTTP API of the Express app.",
    "embedded": "The private server that awictl starts for you.",
    "demo": "See the main job done on the embedded server.",
    "health": "Whether the server answers, and how fast.",
    "top": "All sessions live, on a full screen.",
    "monitor": "What clients do to the keys of AWI, as it happens.",
    "doctor": "Whether all is well with the server, the sessions and the archive, and what to do if not.",
    "config": "The settings in use, and where they come from.",
}


def _load(name: str) -> Any:
    """Import a group or a command of the root. A group's folder names its commands; a command is in `command.py`."""
    package = importlib.import_module(f".{name}", __package__)
    if names := getattr(package, "COMMANDS", None):
        return load_group(package.__name__, names, COMMANDS[name])
    return load_command(f"{package.__name__}.command", name)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"awictl {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    help="Inspect and manage AWI sessions: the state that a site keeps for each web agent in Redis.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
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
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
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
    """Run the command that `arguments` name. Returns the exit code."""
    if sys.stdout is None:
        return report(OSError(errno.EBADF, "stdout is closed: there is nowhere to print to"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        if isinstance(sys.stdout.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: it may write less than it is given
            sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.detach()), sys.stdout.encoding)
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 is no reason to fail
    try:
        code = root_group().main(arguments, prog_name="awictl", standalone_mode=False)
        flush()
    except typer.TyperException as error:  # a usage error
        return _report_usage(error)
    except SystemExit:  # how Click ends a page of help whose reader is gone
        return report(BrokenPipeError())
    except BaseException as error:
        return report(error)
    return code if isinstance(code, int) else 0


def _report_usage(error: typer.TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return 2
    path = getattr(getattr(error, "ctx", None), "command_path", "awictl")
    return report(InvalidInput(f"{error.format_message()} (see `{path} --help`)"))
