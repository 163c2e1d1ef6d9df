"""Manual pages: one for the program, one for each group of commands."""

from __future__ import annotations

from ..._version import __version__
from .tree import Node, Option


def man_page(node: Node, root: Node) -> str:
    """The manual page of the program, or of a group: all its commands."""
    name = "-".join(node.path)
    out = [
        f'.TH "{name.upper()}" "1" "" "awictl {__version__}" "User Commands"',
        ".SH NAME",
        _roff(f"{name} - {node.summary[0].lower()}{node.summary[1:]}"),
        ".SH SYNOPSIS",
        f".B {_roff(' '.join(node.path))}",
        "[OPTIONS] COMMAND [ARGS]...",
        ".SH DESCRIPTION",
        _roff(node.help),
    ]
    out.append(".SH COMMANDS")
    for child in node.children:
        if child.children:
            out += [".TP", f".B {_roff(child.path[-1])}", _roff(f"{child.help} See {'-'.join(child.path)}(1).")]
        else:
            out += _man_command(child)
    common = [one for one in node.options if one.everywhere or node.path == ("awictl",)]
    out += [".SH GLOBAL OPTIONS", "These are accepted before and after the command."]
    for one in common:
        out += _man_option(one)
    if node.examples:
        out += [".SH EXAMPLES", ".nf", *map(_roff, node.examples), ".fi"]
    out += [
        ".SH EXIT STATUS",
        "0 done; 1 unexpected; 2 usage; 3 not found; 4 refused or conflict; 5 backend unreachable; "
        "6 stored data invalid; 7 outcome unknown; 130 interrupted; 141 closed pipe.",
    ]
    others = [other for other in root.children if other.children and other.path != node.path]
    pages = ([] if node.path == ("awictl",) else ["awictl(1)"]) + [f"{'-'.join(one.path)}(1)" for one in others]
    out += [".SH SEE ALSO", _roff(", ".join(pages))]
    return "\n".join(out) + "\n"


def _man_command(node: Node) -> list[str]:
    arguments = "".join(f" {one.names[0]}" for one in node.arguments)
    out = [f".SS {_roff(' '.join(node.path[1:]) + arguments)}", _roff(node.help)]
    for one in (*node.arguments, *(one for one in node.options if not one.everywhere)):
        out += _man_option(one)
    if node.examples:
        out += [".PP", ".nf", *(f"    {_roff(example)}" for example in node.examples), ".fi"]
    return out


def _man_option(one: Option) -> list[str]:
    names = ", ".join(one.names) + (f" {one.value}" if one.value else "")
    return [".TP", f".B {_roff(names)}", _roff(one.help) or r"\&"]


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text
