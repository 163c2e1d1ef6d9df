"""How the commands of clients look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framework.cells import clock

if TYPE_CHECKING:
    from ...diagnostics.command_monitor import Operation


def lines(operation: Operation, shown_bytes: int | None) -> list[str]:
    """A command as a line of text."""
    name = f"{operation.command} {operation.script}" if operation.script else operation.command
    where = f"{operation.client}" if operation.db == 0 else f"{operation.client} db {operation.db}"
    keys = [f"{kind} {id}" for kind, id in operation.named]
    arguments = operation.shown(shown_bytes)
    return ["  ".join([clock(operation.at, "microseconds"), where, name, *(keys or ["all keys"]), *arguments])]
