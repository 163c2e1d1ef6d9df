"""The Typer tree as plain data, for whatever is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from ..framework.global_options import PANEL
from ..main import root_group


@dataclass(frozen=True)
class Option:
    """An option or argument as a user meets it."""

    #: How it can be written: `-o`, `--output`; for an argument its name.
    names: tuple[str, ...]
    #: What its value is called; empty for a flag.
    value: str
    help: str
    #: The values that it takes, where they are few.
    choices: tuple[str, ...]
    #: Whether every command has it.
    everywhere: bool


@dataclass(frozen=True)
class Node:
    """A command or a group of the tree."""

    path: tuple[str, ...]
    help: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]
    children: tuple[Node, ...]

    @property
    def summary(self) -> str:
        """The first sentence of the help."""
        return self.help.split(". ")[0].split(".\n")[0].rstrip(".")

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def tree() -> Node:
    """The whole tree, with every module of it imported."""
    return _node(root_group(), ("awictl",))


def _node(command: Any, path: tuple[str, ...]) -> Node:
    context = typer.Context(command, info_name=path[-1])
    params = [_option(param, context) for param in command.get_params(context)]
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    examples = (command.epilog or "").split("Examples:\n")[-1].splitlines()
    return Node(
        path,
        " ".join((command.help or "").split()),
        tuple(line.strip() for line in examples if line.strip()),
        tuple(one for one in params if one.names[0].startswith("-")),
        tuple(one for one in params if not one.names[0].startswith("-")),
        tuple(_node(command.get_command(context, name), (*path, name)) for name in names),
    )


def _option(param: Any, context: typer.Context) -> Option:
    choices = tuple(str(one) for one in getattr(param.type, "choices", ()))
    if param.param_type_name == "argument":
        return Option(
            (param.make_metavar(context) if not param.metavar else param.metavar,), "", param.help or "", (), False
        )
    flag = param.is_flag or param.name == "help"
    value = "" if flag else (param.metavar or "|".join(choices) or "VALUE")
    everywhere = getattr(param, "rich_help_panel", None) == PANEL or param.name == "help"
    names = tuple(sorted((*param.opts, *param.secondary_opts), key=len))
    return Option(names, value, param.help or "", choices, everywhere)
