"""The quick parser: what it parses, Typer parses in the same way; what it does not understand, it leaves to Typer."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awictl.cli import main
from awictl.cli.framework.command import CommandSpec
from awictl.cli.framework.global_options import GlobalOptions
from awictl.cli.framework.quick_parse import quick_parse
from awictl.cli.reference.tree import CommandNode, tree

#: Texts as values of arguments and options, right ones and wrong ones.
VALUES = (
    *("sess_1", "AWI:SESSION:sess_1", "5", "-5", "0", "1.5", "nan", "2h", "500ms", "-", "--", "x y", ""),
    *("bash", "json", "session", "activity", "2026-11-23", "1_0", "é", "{}"),
)


def _leaves(node: CommandNode) -> Iterator[CommandNode]:
    for child in node.children:
        yield from _leaves(child) if child.children else [child]


LEAVES = {" ".join(leaf.path[1:]): leaf for leaf in _leaves(tree())}


def _parsed(arguments: list[str], *, quick: bool) -> Any:
    """What the command is called with, and an exit code; None if the quick parser leaves the arguments to Typer."""
    calls: list[Any] = []

    def invoke(spec: CommandSpec, outer: GlobalOptions, values: dict[str, Any]) -> int:
        options = GlobalOptions.taken_from(values).over(outer)
        calls.append((spec.parse, repr(options), {name: _comparable(value) for name, value in values.items()}))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CommandSpec, "invoke", invoke)
        if quick:
            invocation = quick_parse(arguments, "awictl.cli", main.COMMANDS)
            return None if invocation is None else [invocation(), *calls]
        from awictl.cli.framework.root import run_with_typer

        return [run_with_typer(main.root_group(), arguments), *calls]


def _comparable(value: Any) -> tuple[type, str]:
    """A value with its type; a point in time, such as 2h ago, is later for who parses later."""
    return type(value), "" if isinstance(value, datetime) else repr(value)


def _words(leaf: CommandNode) -> st.SearchStrategy[list[str]]:
    """Arguments for a command: options with their values, words, in any order, some of them wrong."""
    value = st.sampled_from(VALUES)
    own = sorted({name for option in leaf.options for name in option.names})
    globals_ = [f"--{name.replace('_', '-')}" for name in GlobalOptions._fields]
    name = st.sampled_from([*own, *globals_, "-o", "-q", "-v", "-h", "-qv", "--nonsense"])
    piece = st.one_of(
        st.lists(value, min_size=1, max_size=1),
        st.lists(name, min_size=1, max_size=1),
        st.tuples(name, value).map(list),
        st.tuples(name, value).map(lambda pair: ["=".join(pair)]),
    )
    return st.lists(piece, max_size=4).map(lambda pieces: list(itertools.chain(*pieces)))


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_the_quick_parser_calls_a_command_with_what_typer_finds(data: st.DataObject) -> None:
    leaf = data.draw(st.sampled_from(list(LEAVES.values())))
    before = data.draw(st.sampled_from([[], [], ["-q"], ["--output", "json"], ["--timeout=2", "--embedded"]]))
    arguments = [*before, *leaf.path[1:], *data.draw(_words(leaf))]
    quick = _parsed(arguments, quick=True)
    if quick is not None:
        assert quick == _parsed(arguments, quick=False), arguments


@pytest.mark.parametrize("words", sorted(LEAVES))
def test_the_quick_parser_understands_the_examples_of_each_command(words: str) -> None:
    for example in LEAVES[words].examples:
        line = re.split(r"   #| \| | >>? | && ", example)[0]
        arguments = shlex.split(line)
        if arguments[0] != "awictl" or any(one in ("<", "--") for one in arguments):
            continue
        quick = _parsed(arguments[1:], quick=True)
        assert quick is not None, f"{example}: Typer is imported for it"
        assert quick == _parsed(arguments[1:], quick=False), example
