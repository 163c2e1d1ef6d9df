"""The tree of commands as plain data, from which completions and manual pages are generated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import typer

from ...document.redaction.patterns import PATTERN_NAMES
from ...document.redaction.rules import DEFAULT
from ...sessions.where.fields import FIELDS
from ..framework.global_options import PANEL
from ..main import root_group


@dataclass(frozen=True)
class Option:
    """An option or an argument of a command."""

    #: All its names, such as `-o` and `--output`; for an argument its placeholder.
    names: tuple[str, ...]
    #: The placeholder of its value; empty for a flag.
    value: str
    help: str
    #: The values that it accepts, or some of them; empty if there is nothing to suggest.
    choices: tuple[str, ...]
    #: Whether it is a global option, which every command has.
    everywhere: bool
    #: What shells complete: `file`, a kind of value that `awictl __complete` knows, or nothing.
    kind: str = ""
    #: Whether it is an argument that takes several values.
    many: bool = False


@dataclass(frozen=True)
class CommandNode:
    """A command or a group."""

    path: tuple[str, ...]
    help: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]
    children: tuple[CommandNode, ...]

    @property
    def summary(self) -> str:
        """The first sentence of the help."""
        return self.help.split(". ")[0].split(".\n")[0].rstrip(".")

    def walk(self) -> Iterator[CommandNode]:
        """Yield this node and all nodes below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


@cache
def tree() -> CommandNode:
    """Build the whole tree, once. Imports the modules of all commands."""
    return _node(root_group(), ("awictl",))


def _node(command: Any, path: tuple[str, ...]) -> CommandNode:
    context = typer.Context(command, info_name=path[-1], **command.context_settings)
    params = [_option(param, context, path) for param in command.get_params(context)]
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    examples = (command.epilog or "").split("Examples:\n")[-1].splitlines()
    return CommandNode(
        path,
        " ".join((command.help or "").split()),
        tuple(line.strip() for line in examples if line.strip()),
        tuple(one for one in params if one.names[0].startswith("-")),
        tuple(one for one in params if not one.names[0].startswith("-")),
        tuple(_node(command.get_command(context, name), (*path, name)) for name in names),
    )


def _kind(path: tuple[str, ...], name: str, value: str, help: str) -> str:
    """What shells complete for an option or argument of a command. `value`: its placeholder."""
    noun = path[1] if len(path) > 1 else ""
    placeholder = value.strip("[].")
    if name == "--profile":
        return "profile"
    if name == "--session" or (placeholder in ("ID", "ID2", "ID|FILE") and name == value and noun == "session"):
        return "session"
    if name == "--agent" or placeholder == "AGENT":
        return "agent"
    if placeholder == "KEY" and noun == "cache":
        return "cache"
    if placeholder in ("ID", "ID|FILE") and noun == "media" and name == value:
        return "image"
    return "file" if placeholder == "FILE" or "FILE, or -" in help else ""


def _suggested(name: str) -> tuple[str, ...]:
    """Values of an option that also accepts others."""
    if name == "--redact":
        return (DEFAULT, *PATTERN_NAMES)
    return tuple(one for one in FIELDS if one != "id") if name == "--group-by" else ()


def _option(param: Any, context: typer.Context, path: tuple[str, ...]) -> Option:
    choices = tuple(str(one) for one in getattr(param.type, "choices", ())) or _suggested(param.opts[0])
    if param.param_type_name == "argument":
        value = param.metavar or param.make_metavar(context)
        kind = _kind(path, value, value, param.help or "")
        return Option((value,), "", param.help or "", choices, False, kind, param.nargs == -1)
    flag = param.is_flag or param.name == "help"
    value = "" if flag else (param.metavar or "|".join(choices) or "VALUE")
    everywhere = getattr(param, "rich_help_panel", None) == PANEL or param.name == "help"
    names = tuple(sorted((*param.opts, *param.secondary_opts), key=len))
    return Option(names, value, param.help or "", choices, everywhere, _kind(path, names[-1], value, param.help or ""))
