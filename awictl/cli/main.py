"""The root of the command tree. Its branches are imported only when one of their commands runs."""

import errno
import importlib
import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from .._version import __version__
from ..errors import InvalidInput
from .options import remember_options, report, with_global_options
from .output import flush

#: name → (module, what the command or group is for), in the order of the help.
COMMANDS = {
    "session": ("session", "Create, read, update and end sessions."),
    "archive": ("archive", "Archive sessions before they expire; find and restore archived ones."),
    "agent": ("agent", "Register agents, revoke their API keys, and find their sessions."),
    "cache": ("cache", "The cached results of queries, and why a query is not cached."),
    "media": ("media", "Cached pictures and their embeddings."),
    "keys": ("keys", "All keys of AWI on the server: what they are for, how large, and how long they stay."),
    "serve": ("serve", "Serve the HTTP API of the Express app."),
    "embedded": ("embedded", "The private server that awictl starts for you."),
    "demo": ("demo", "See the main job done on the embedded server."),
    "health": ("health", "Whether the server answers, and how fast."),
    "top": ("top", "All sessions live, on a full screen."),
    "monitor": ("monitor", "What clients do to the keys of AWI, as it happens."),
    "doctor": ("doctor", "Whether all is well with the server, the sessions and the archive, and what to do if not."),
    "config": ("config", "The settings in use, and where they come from."),
}


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and imports them when they are needed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # None: not imported yet

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            module = importlib.import_module(f".{COMMANDS[cmd_name][0]}", __package__)
            self.commands[cmd_name] = get_command(module.app)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    help="Inspect and manage AWI sessions: the state that a site keeps for each web agent in Redis.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"awictl {__version__}")
        raise typer.Exit


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


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name. Returns the exit code."""
    if sys.stdout is None:
        return report(OSError(errno.EBADF, "stdout is closed: there is nowhere to print to"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        if isinstance(sys.stdout.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: it may write less than it is given
            sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.detach()), sys.stdout.encoding)
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 is no reason to fail
    try:
        code = get_command(app).main(arguments, prog_name="awictl", standalone_mode=False)
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
