"""Groups that import a command only when it is needed."""

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from .global_options import remember_options


class LazyGroup(TyperGroup):
    """A group that knows the names of its commands, and imports a command on first use."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._load: Callable[[str], Any] = lambda name: None
        self._summaries: dict[str, str] = {}

    def set_commands(
        self, names: Iterable[str], load: Callable[[str], Any], summaries: dict[str, str] | None = None
    ) -> None:
        """Set the names of the commands, in the order of the help.

        `load` imports a command. `summaries`: the help of each, to list them without importing them.
        """
        self.commands = dict.fromkeys(names)  # type: ignore[assignment]  # None: not imported yet
        self._load = load
        self._summaries = summaries or {}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None if there is none."""
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            self.commands[cmd_name] = self._load(cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, each with the first sentence of its help."""
        summaries = self._summaries or {
            name: self.get_command(ctx, name).get_short_help_str(limit=sys.maxsize) for name in self.commands
        }
        with formatter.section("Commands"):
            formatter.write_dl(list(summaries.items()))


def load_command(module: str, name: str) -> Any:
    """Import the command that a module declares, and build it under a name."""
    return importlib.import_module(module).command.build(name)


def load_group(package: str, names: Iterable[str], help: str) -> LazyGroup:
    """Build the group of a package that has a module for each of the commands `names`."""
    app = typer.Typer(cls=LazyGroup, help=help, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
    app.callback(help=help)(remember_options)
    group = get_command(app)
    assert isinstance(group, LazyGroup)  # noqa: S101  # `cls` above
    group.set_commands(names, lambda name: load_command(f"{package}.{name}", name))
    return group
