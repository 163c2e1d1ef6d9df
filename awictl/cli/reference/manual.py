"""Manual pages in roff: one for the program, and one for each group of commands."""

from __future__ import annotations

from dataclasses import fields

from ..._version import __version__
from ...settings import Settings
from ...util.setting import Setting
from .tree import CommandNode, Option

#: Exit codes and their meanings, as on the pages.
_EXIT_STATUS = (
    "0 done; 1 unexpected; 2 usage; 3 not found; 4 refused or conflict; 5 backend unreachable; "
    "6 stored data invalid; 7 outcome unknown; 130 interrupted; 141 closed pipe."
)
_PRECEDENCE = (
    "If a setting is given in several places, the first of these counts: option, environment, .env, profile, default. "
    "In a profile a setting has its name in the environment, in lower case."
)
#: Environment variables that are not settings themselves.
_OTHER_VARIABLES = [
    ("REDIS_URL", "URL of the Redis or Valkey server, instead of REDIS_HOST and the other variables for it."),
    ("AWI_PROFILE", "Profile of config.toml to use, like --profile."),
    (
        "AWI_COMPLETION_SECONDS",
        "Seconds that the completion of a value from the server may take; 0: none is completed. Default: 0.25.",
    ),
    ("NO_COLOR", "If set, print without colors, like --no-color."),
]
_FILES = [
    (
        "~/.config/awictl/config.toml",
        "Profiles: settings for --profile, in a table [profiles.NAME] each; default_profile names the one to use "
        "without --profile and AWI_PROFILE. XDG_CONFIG_HOME is respected.",
    ),
    (".env", "Environment variables, read from the working directory, unless another user could have written it."),
    (
        "~/.local/share/awictl/embedded/",
        "Data of the private server that --embedded starts: its append-only file, its socket (valkey.sock), its log "
        "(valkey.log) and the archive (archive.db). XDG_DATA_HOME and AWI_EMBEDDED_DIR are respected.",
    ),
]


def man_page(node: CommandNode, root: CommandNode) -> str:
    """Return the manual page of the program or of a group, with all commands of it."""
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
            out += _command(child)
    common = [one for one in node.options if one.everywhere or node is root]
    out += [".SH GLOBAL OPTIONS", "These are accepted before and after the command."]
    for one in common:
        out += _option(one)
    if node.examples:
        out += [".SH EXAMPLES", ".nf", *map(_roff, node.examples), ".fi"]
    out += [".SH EXIT STATUS", _EXIT_STATUS, *_environment(whole=node is root), *_files()]
    others = [other for other in root.children if other.children and other is not node]
    pages = ([] if node is root else ["awictl(1)"]) + [f"{'-'.join(one.path)}(1)" for one in others]
    out += [".SH SEE ALSO", _roff(", ".join(pages))]
    return "\n".join(out) + "\n"


def _command(node: CommandNode) -> list[str]:
    arguments = "".join(f" {one.names[0]}" for one in node.arguments)
    out = [f".SS {_roff(' '.join(node.path[1:]) + arguments)}", _roff(node.help)]
    for one in (*node.arguments, *(one for one in node.options if not one.everywhere)):
        out += _option(one)
    if node.examples:
        out += [".PP", ".nf", *(f"    {_roff(example)}" for example in node.examples), ".fi"]
    return out


def _option(one: Option) -> list[str]:
    names = ", ".join(one.names) + (f" {one.value}" if one.value else "")
    return [".TP", f".B {_roff(names)}", _roff(one.help) or r"\&"]


def _environment(*, whole: bool) -> list[str]:
    """The settings, with their names in the environment; only a reference if not `whole`."""
    if not whole:
        return [".SH ENVIRONMENT", _roff("The environment can give every setting: see ENVIRONMENT in awictl(1).")]
    out = [".SH ENVIRONMENT", _roff(_PRECEDENCE)]
    for one in fields(Settings):
        if one.metadata:
            setting: Setting = one.metadata["setting"]
            out += [".TP", f".B {setting.env}", _roff(f"{setting.help}{_default(one.default)}")]
    for name, help in _OTHER_VARIABLES:
        out += [".TP", f".B {name}", _roff(help)]
    return out


def _default(value: object) -> str:
    if value is None:
        return ""
    shown = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
    return f" Default: {shown}."


def _files() -> list[str]:
    out = [".SH FILES"]
    for path, help in _FILES:
        out += [".TP", f".I {_roff(path)}", _roff(help)]
    return out


def _roff(text: str) -> str:
    """Escape a line of text for roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    return "\\&" + text if text[:1] in (".", "'") else text
