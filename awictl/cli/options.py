"""The options that every command has, and the one wrapper that runs every command."""

import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from ..errors import AwiError, InvalidInput, NoSession
from .given import check_finite, parse_interval
from .output import Format, Output, settle_output
from .tables import printable

if TYPE_CHECKING:
    import asyncio

    from ..sessions.manager import StateManager
    from ..settings import Settings

#: The section of a command's help that these options stand in.
PANEL = "Global options"

#: The exit code of a command whose reader closed the pipe (128 + SIGPIPE), and of one that Ctrl-C ended.
CLOSED_PIPE = 141
INTERRUPTED = 130


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, **more)


@dataclass(frozen=True)
class GlobalOptions:
    """What the user gave of the options that every command has, before or after the command."""

    profile: Annotated[str | None, _option("--profile", help="Profile of config.toml to use.", metavar="NAME")] = None
    redis: Annotated[
        str | None, _option("--redis", help="Server, without password: redis://HOST:PORT/DB.", metavar="URL")
    ] = None
    mongo: Annotated[
        str | None, _option("--mongo", help="Archive, without password: mongodb://HOST/DATABASE.", metavar="URL")
    ] = None
    archive: Annotated[
        str | None,
        _option("--archive", help="Archive of either kind: mongodb://HOST/DATABASE or sqlite:///FILE.", metavar="URL"),
    ] = None
    embedded: Annotated[bool, _option("--embedded", help="Use the private server that awictl starts.")] = False
    output: Annotated[Format | None, _option("--output", "-o", help="How to print data.")] = None
    timeout: Annotated[
        float | None, _option("--timeout", help="Seconds to wait for the server.", metavar="SECONDS")
    ] = None
    no_color: Annotated[bool, _option("--no-color", help="Print without colours.")] = False
    quiet: Annotated[bool, _option("--quiet", "-q", help="No notices on stderr.")] = False
    verbose: Annotated[bool, _option("--verbose", "-v", help="More on stderr; tracebacks of errors.")] = False

    def over(self, outer: "GlobalOptions") -> "GlobalOptions":
        """These options where they are given, else the outer ones."""
        given = {
            one.name: value
            for one in fields(self)
            if not ((value := getattr(self, one.name)) is None or value is False)
        }
        return replace(outer, **given)


_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_GLOBALS = [
    inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
    for one in fields(GlobalOptions)
]


@dataclass(frozen=True)
class Run:
    """One run of a command: what its function gets first."""

    options: GlobalOptions

    @cached_property
    def settings(self) -> "Settings":
        """The settings, read when they are first needed."""
        from ..settings import Settings

        given = {
            "redis_url": self.options.redis,
            "mongodb_uri": self.options.mongo,
            "archive_url": self.options.archive,
            "embedded": self.options.embedded or None,
            "timeout": self.options.timeout,
        }
        options = {name: value for name, value in given.items() if value is not None}
        return Settings.load(options, profile=self.options.profile)

    @property
    def out(self) -> Output:
        """Where the command prints."""
        return Output(self.options.output, not self.options.no_color, self.options.quiet)

    @asynccontextmanager
    async def manager(self) -> "AsyncIterator[StateManager]":
        """The state manager, closed in the end."""
        from ..sessions.manager import StateManager

        async with StateManager.open(self.settings) as manager:
            try:
                yield manager
            except NoSession as error:
                raise await manager.explain_missing(error) from error


Body = TypeVar("Body", bound=Callable[..., Awaitable[None]])


class Command(TyperCommand):
    """A command whose help lists the global options apart from its own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], PANEL: []}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                own = "Arguments" if param.param_type_name == "argument" else "Options"
                sections[getattr(param, "rich_help_panel", None) or own].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def new_group(help: str) -> typer.Typer:
    """A Typer for the commands of one noun; `help` says what they are for."""
    app = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
    app.callback(help=help)(remember_options)
    return app


def command(
    app: typer.Typer,
    name: str,
    *,
    examples: Iterable[str],
    formats: Iterable[Format] = (),
    loop: "Callable[[], asyncio.AbstractEventLoop] | None" = None,
) -> Callable[[Body], Body]:
    """Register an async function, which gets a `Run` first, as a command that has the global options too.

    `formats`: what else it prints than tables and JSON; asked for anything other it does nothing. `loop`: makes the
    event loop that it runs on, instead of asyncio's own.
    """
    printed = (Format.TABLE, Format.JSON, Format.JSONL, *formats)

    def register(body: Body) -> Body:
        own = list(inspect.signature(body).parameters.values())[1:]

        def entry(ctx: typer.Context, **values: Any) -> None:
            _execute(ctx, body, values, printed, loop)

        entry.__signature__ = _signature([_CONTEXT, *own, *_GLOBALS])  # type: ignore[attr-defined]
        epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)
        app.command(name, cls=Command, help=inspect.getdoc(body), epilog=epilog)(entry)
        return body

    return register


def with_global_options(function: Callable[..., None]) -> Callable[..., None]:
    """Let Typer see the global options in the place of a function's `**options`."""
    own = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
    function.__signature__ = _signature([*own, *_GLOBALS])  # type: ignore[attr-defined]
    return function


def _signature(parameters: list[inspect.Parameter]) -> inspect.Signature:
    first, *rest = parameters
    return inspect.Signature([first, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in rest)])


@with_global_options
def remember_options(ctx: typer.Context, **options: Any) -> None:
    """The callback of a group: keeps the global options that were given before the command."""
    ctx.obj = GlobalOptions(**options).over(ctx.obj or GlobalOptions())


def _execute(
    ctx: typer.Context,
    body: Callable[..., Awaitable[None]],
    values: dict[str, Any],
    formats: tuple[Format, ...],
    loop: "Callable[[], asyncio.AbstractEventLoop] | None",
) -> None:
    """Run a command's function: the only place that calls asyncio.run, and that ends a command with an error."""
    # imported here, so that a page of help does not wait for them
    import asyncio
    import logging
    import signal

    given = GlobalOptions(**{one.name: values.pop(one.name) for one in fields(GlobalOptions)})
    options = given.over(ctx.obj or GlobalOptions())
    logging.basicConfig(
        stream=sys.stderr,
        format="awictl: %(message)s",
        level=logging.ERROR if options.quiet else logging.INFO if options.verbose else logging.WARNING,
    )

    # where it is ignored, as in the background of a shell, it stays so; a loop of another kind sees to it itself
    interruptible = loop is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupted = False

    async def main() -> None:
        running, task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            running.remove_signal_handler(signal.SIGINT)  # the next one ends it at once
            if task is not None:
                task.cancel()

        if interruptible:
            # not the handler of asyncio.run: a signal that comes just as the loop goes to sleep would not wake that
            running.add_signal_handler(signal.SIGINT, interrupt)
        try:
            await body(Run(options), **values)
        finally:
            if interruptible:
                running.remove_signal_handler(signal.SIGINT)

    try:
        if options.output not in (None, *formats):
            raise InvalidInput(f"-o {options.output}: this command prints {', '.join(formats)} only")
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
    except typer.Exit:
        raise
    except asyncio.CancelledError as error:
        raise typer.Exit(report(KeyboardInterrupt() if interrupted else error, verbose=options.verbose)) from None
    except BaseException as error:
        raise typer.Exit(report(error, verbose=options.verbose)) from None


def report(error: BaseException, *, verbose: bool = False) -> int:
    """Tell the user about an error in one line on stderr. Returns the exit code."""
    if isinstance(error, OSError):
        settle_output()
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    if isinstance(error, KeyboardInterrupt):
        text, code = "interrupted", INTERRUPTED
    elif isinstance(error, AwiError):
        text, code = str(error), error.exit_code
    elif isinstance(error, OSError):
        text, code = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1
    else:
        text, code = f"unexpected {type(error).__name__}: {error} (--verbose shows where)", 1
    if verbose:
        import traceback

        traceback.print_exception(error)
    if sys.stderr is not None:
        print(f"awictl: {printable(' '.join(text.split()))}", file=sys.stderr, flush=True)  # noqa: T201
    return code


# -- commands on several ids


class EachId:
    """Does something for each of several ids: an error with one does not stop the others."""

    def __init__(self, run: Run, ids: list[str]) -> None:
        self._run = run
        self._ids = ids
        self._code = 0

    async def rows(self, one: Callable[[str], Awaitable[dict[str, Any] | None]]) -> AsyncIterator[dict[str, Any]]:
        """What `one` returns for each id, but None. An error is reported; that with an only id is raised."""
        for session_id in self._ids:
            try:
                row = await one(session_id)
            except AwiError as error:
                if len(self._ids) == 1:
                    raise
                reported = report(error, verbose=self._run.options.verbose)
                self._code = self._code or reported
            else:
                if row is not None:
                    yield row

    def exit(self) -> None:
        """End the command by the code of the first error, where there was one."""
        if self._code:
            raise typer.Exit(self._code)


async def each(run: Run, ids: list[str], one: Callable[[str], Awaitable[None]]) -> None:
    """Do `one` for each id; an error with one does not stop the others, and the first is the exit code."""
    all_of_them = EachId(run, ids)
    async for _ in all_of_them.rows(one):
        pass
    all_of_them.exit()


SessionId = Annotated[str, typer.Argument(metavar="ID", help="Session id.", show_default=False)]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", min=1, metavar="N", callback=check_finite, help="Let the server visit so many keys a second."
    ),
]
_INTERVAL = typer.Option("--interval", parser=parse_interval, metavar="TIME", help="Time between two looks.")
Interval = Annotated[float, _INTERVAL]
MaybeInterval = Annotated[float | None, _INTERVAL]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds", min=0.05, metavar="SECONDS", callback=check_finite, help="End after this time; else at Ctrl-C."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
SessionIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Session ids, or - to read them from stdin.", show_default=False)
]
