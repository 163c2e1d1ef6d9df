"""Completions for bash, zsh and fish: static, so that a TAB starts no program."""

from __future__ import annotations

from ..._version import __version__
from .tree import Node, Option


def bash(root: Node) -> str:
    """A completion for bash."""
    cases = []
    for node in root.walk():
        words = [child.path[-1] for child in node.children] + [name for one in node.options for name in one.names]
        cases.append(f'    "{" ".join(node.path[1:])}") words="{" ".join(words)}" ;;')
    groups = "|".join(node.path[-1] for node in root.children if node.children)
    valued = _options_with_value(root)
    values = "\n".join(
        f'    {_pattern(path, one)}) COMPREPLY=($(compgen -W "{" ".join(one.choices)}" -- "$current")); return ;;'
        for path, one in valued
        if one.choices
    )
    taking = "|".join(_pattern(path, one) for path, one in valued)
    return f"""# bash completion for awictl {__version__}; made by awictl.cli.reference
_awictl() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" path="" words="" word skip="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$path $word" in
      {taking}) skip=1 ;;
      *" -"*) ;;
      *)
        if [[ -z $path ]]; then path="$word"
        elif [[ $path =~ ^({groups})$ ]]; then path="$path $word"
        fi ;;
    esac
  done
  case "$path $previous" in
{values}
    {taking}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path" in
{chr(10).join(cases)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _awictl awictl
"""


def zsh(root: Node) -> str:
    """A completion for zsh."""
    functions = []
    for node in root.walk():
        name = _function(node)
        arguments = [_zsh_option(one) for one in node.options]
        if node.children:
            commands = "\n".join(f"      {_quoted(f'{child.path[-1]}:{child.summary}')}" for child in node.children)
            branches = "\n".join(f"        {child.path[-1]}) {_function(child)} ;;" for child in node.children)
            functions.append(f"""{name}() {{
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
{_lines(arguments)}
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
{commands}
      )
      _describe command commands ;;
    argument)
      case $line[1] in
{branches}
      esac ;;
  esac
}}""")
        else:
            rest = ["'*: :_files'"] if node.arguments else []
            functions.append(f"{name}() {{\n  _arguments \\\n{_lines([*arguments, *rest])[:-2]}\n}}")
    body = "\n\n".join(functions)
    return f"""#compdef awictl
# zsh completion for awictl {__version__}; made by awictl.cli.reference

{body}

if [ "$funcstack[1]" = "_awictl" ]; then _awictl "$@"; else compdef _awictl awictl; fi
"""


def fish(root: Node) -> str:
    """A completion for fish."""
    groups = " ".join(node.path[-1] for node in root.children if node.children)
    taking = " ".join(_quoted(f"{path} {name}") for path, one in _options_with_value(root) for name in one.names)
    lines = [
        f"# fish completion for awictl {__version__}; made by awictl.cli.reference",
        _FISH_PATH.format(groups=groups, taking=taking),
        "complete -c awictl -f",
    ]
    for node in root.walk():
        command = _quoted(" ".join(node.path[1:]))
        here = f" -n {_quoted(f'contains -- {command} (__awictl_path)')}"
        for child in node.children:
            lines.append(f"complete -c awictl{here} -a {child.path[-1]} -d {_quoted(child.summary)}")
        for one in node.options:
            if one.everywhere and node is not root:
                continue
            names = "".join(f" -{'l' if name[:2] == '--' else 's'} {name.lstrip('-')}" for name in one.names)
            value = (f" -x -a {_quoted(' '.join(one.choices))}" if one.choices else " -r") if one.value else ""
            condition = "" if one.everywhere else here
            lines.append(f"complete -c awictl{condition}{names}{value} -d {_quoted(one.help)}")
        if node.arguments:
            lines.append(f"complete -c awictl{here} -F")
    return "\n".join(lines) + "\n"


_FISH_PATH = """\
function __awictl_path --description 'The command that the words so far name'
    set -l path
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- "$path $word" {taking}; or contains -- "* $word" {taking}
            set skip 1
        else if not string match -q -- '-*' $word
            if test (count $path) -eq 0; or begin; test (count $path) -eq 1; and contains -- $path {groups}; end
                set -a path $word
            end
        end
    end
    echo "$path"
end"""


def _options_with_value(root: Node) -> list[tuple[str, Option]]:
    """Options that take a value, each with the command that it belongs to; * where all commands have it."""
    found = {
        ("*" if one.everywhere else " ".join(node.path[1:]), one.names): one
        for node in root.walk()
        for one in node.options
        if one.value
    }
    return [(path, one) for (path, _), one in found.items()]


def _pattern(path: str, option: Option) -> str:
    """What matches the name of an option after the command that it belongs to, in bash."""
    return "|".join(f'*" {name}"' if path == "*" else f'"{path} {name}"' for name in option.names)


def _zsh_option(one: Option) -> str:
    help = one.help.replace("[", "(").replace("]", ")").replace(":", ",")
    value = ""
    if one.value:
        value = f":{one.value.replace(':', ' ')}:" + (f"({' '.join(one.choices)})" if one.choices else "_files")
    if len(one.names) == 1:
        return _quoted(f"{one.names[0]}[{help}]{value}")
    return f"'({' '.join(one.names)})'{{{','.join(one.names)}}}{_quoted(f'[{help}]{value}')}"


def _lines(words: list[str]) -> str:
    return "\n".join(f"    {word} \\" for word in words)


def _function(node: Node) -> str:
    return "_" + "_".join(node.path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
