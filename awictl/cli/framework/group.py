"""Groups that import a command only when it is needed."""

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from .typer_command import CONTEXT_SETTINGS, build_command, remember_options

#: Names that other programs give to what a command does → awictl's names for it.
_SYNONYMS = {
    name: verbs
    for names, verbs in {
        ("ls", "lst", "find", "search"): ("list",),
        ("get", "cat", "describe", "view", "info", "read"): ("show", "status"),
        ("rm", "del", "delete", "remove", "kill", "close", "stop"): ("end", "delete", "revoke", "stop"),
        ("add", "new", "create"): ("create", "register", "put"),
        ("set", "edit", "patch", "update", "write"): ("apply", "put"),
        ("log", "logs", "tail", "follow", "actions"): ("history",),
        ("renew", "refresh", "extend"): ("touch",),
    }.items()
    for name in names
}
#: How similar a name of the same group must be to be suggested, from 0 to 1; else the other groups are looked at.
_SIMILARITY = 0.7
#: Maximum number of commands that are suggested.
_MAX_SUGGESTIONS = 3


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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first of `args` names, and the rest of them. Raises a usage error if there is none."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(self.no_such_command(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def no_such_command(self, ctx: Any, name: str) -> str:
        """The message about a command that does not exist, with the nearest ones that do."""
        nearest = " or ".join(f"`{one}`" for one in self._nearest(ctx, name.lower()))
        return f"No such command {name!r}." + (f" Did you mean {nearest}?" if nearest else "")

    def _nearest(self, ctx: Any, name: str) -> list[str]:
        """The commands that a mistyped one may stand for: of this group if possible, else of any other group."""
        from difflib import get_close_matches

        if name == "help":
            return [f"awictl help {ctx.info_name}"]
        verbs = _SYNONYMS.get(name, ())
        # a word of another program, such as `get`, is not a mistyped name, such as `agent`
        near = [] if verbs else get_close_matches(name, self.commands, 1, _SIMILARITY)
        if found := [verb for verb in verbs if verb in self.commands][:1] or near:
            return [f"{ctx.command_path} {found[0]}"]
        root = ctx.find_root()
        groups = {noun: getattr(root.command.get_command(root, noun), "commands", {}) for noun in root.command.commands}
        elsewhere = [
            f"awictl {noun} {verb}" for noun, known in groups.items() for verb in (name, *verbs) if verb in known
        ]
        return elsewhere[:_MAX_SUGGESTIONS]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, each with the first sentence of its help."""
        summaries = self._summaries or {
            name: self.get_command(ctx, name).get_short_help_str(limit=sys.maxsize) for name in self.commands
        }
        with formatter.section("Commands"):
            formatter.write_dl(list(summaries.items()))


def load_command(module: str, name: str) -> Any:
    """Import the command that a module declares, and build it under a name."""
    return build_command(importlib.import_module(module).command, name)


def load_group(package: str, names: Iterable[str], help: str) -> LazyGroup:
    """Build the group of a package that has a module for each of the commands `names`."""
    app = typer.Typer(
        cls=LazyGroup,
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        context_settings=CONTEXT_SETTINGS,
    )
    app.callback(help=help)(remember_options)
    group = get_command(app)
    assert isinstance(group, LazyGroup)  # noqa: S101  # `cls` above
    group.set_commands(names, lambda name: load_command(f"{package}.{name}", name))
    return group
