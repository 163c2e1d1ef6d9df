"""Join the ES modules of the web inspector to one script, for a page that is a single file.

A script within a page cannot import a file beside it: a browser does not load modules from `file:` addresses. So each
module becomes a function that is called once and returns what the module exports, after those that it imports from:

    import {html} from "./vendor/preact-htm.js";       const $module0 = (() => { …; return {html}; })();
    import {Text} from "./text.js";                    const $module1 = (() => { …; return {Text}; })();
    export function Tree() {…}                    →    const $module2 = (() => {
                                                       const {html} = $module0; const {Text} = $module1;
                                                       function Tree() {…} return {Tree}; })();

No parser of JavaScript is needed for that, because all modules have the same form, which a test checks:

- imports are the first statements, each on one line: `import {a, b as c} from "./x.js";`
- exports are declarations at the start of a line: `export function`, `export async function`, `export const`,
  `export class`. A module of someone else, in the folder `vendor`, ends with one list instead: `export{a as b};`
- there are no cycles, no dynamic imports, no `import.meta`, and no top-level await;
- nothing in them ends a script element: neither `</script` nor `<!--`.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

#: The folder with the static files of the inspector.
STATIC = Path(__file__).parent.parent / "static"
_VENDOR = "vendor"

_IMPORT = re.compile(r'^import \{([^{}"\n]+)\} from "(\.{1,2}/[^"\n]+\.js)";\n', re.MULTILINE)
_COMMENT = re.compile(r"//.*|/\*(?:[^*]|\*(?!/))*\*/")
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function|const|class) ([A-Za-z_$][\w$]*))", re.MULTILINE)
_EXPORT_LIST = re.compile(r"(?:^|(?<=[;}\s]))export\s*\{([^{}]*)\};?\s*\Z")
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?: as [A-Za-z_$][\w$]*)?")
#: What a module must not have, besides imports and exports in another form.
_FORBIDDEN = (
    (re.compile(r"^(?:import|export)\b", re.MULTILINE), "an import or export in another form"),
    (re.compile(r"\bimport\s*[.(]"), "a dynamic import or import.meta"),
    (re.compile(r"^await\b", re.MULTILINE), "a top-level await"),
    (re.compile(r"</script|<!--", re.IGNORECASE), "a text that ends a script element"),
    (re.compile(r"\$module\d"), "a name that the bundle uses"),
)


class JavaScriptModule(NamedTuple):
    """An ES module, taken apart."""

    #: What it imports: the path of a module, the name there, and the name here.
    imports: tuple[tuple[str, str, str], ...]
    #: What it exports: the name for others, and the name here.
    exports: dict[str, str]
    #: The rest of its text.
    body: str


def read_module(folder: Path, path: str) -> JavaScriptModule:
    """Take a module of a folder apart. `path` is relative to the folder. Raises ValueError if it has another form."""
    text = (folder / path).read_text(encoding="utf-8")
    found = list(_IMPORT.finditer(text))
    imports = [(_resolved(path, one[2]), *names) for one in found for names in _names(path, one[1])]
    if found and _COMMENT.sub("", _IMPORT.sub("", text[: found[-1].end()])).strip():
        raise ValueError(f"{path} has an import that is not at its beginning")
    body = _IMPORT.sub("", text)
    exports: dict[str, str] = {}
    if path.split("/")[0] == _VENDOR:
        listed = _EXPORT_LIST.search(body)
        if listed is not None:
            exports = {name: local for local, name in _names(path, listed[1])}
            body = body[: listed.start()]
    else:
        exports = {name: name for name in _EXPORT.findall(body)}
        body = _EXPORT.sub("", body)
    for pattern, what in _FORBIDDEN:
        wrong = pattern.search(body)
        if wrong is not None:
            raise ValueError(f"{path} has {what}: {body[wrong.start() : wrong.start() + 60]!r}")
    return JavaScriptModule(tuple(imports), exports, body)


def _resolved(path: str, source: str) -> str:
    """The path of a module that another one, at `path`, imports."""
    parts: list[str] = list(PurePosixPath(path).parent.parts)
    for part in source.split("/"):
        if part == "..":
            if not parts:
                raise ValueError(f"{path} imports {source}, which is outside of the folder")
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _names(path: str, listed: str) -> list[tuple[str, str]]:
    """The names in braces: (`a`, `b`) for `a as b`, and (`a`, `a`) for `a`."""
    found = []
    for one in listed.split(","):
        name = one.strip()
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{path} has {name!r} in a list of names")
        first, _, second = name.partition(" as ")
        found.append((first, second or first))
    return found


def read_modules(folder: Path, entry: str) -> dict[str, JavaScriptModule]:
    """A module and all that it needs, by path, those that are needed first. Raises ValueError."""
    modules: dict[str, JavaScriptModule] = {}
    pending = [entry]
    while pending:
        path = pending.pop()
        if path not in modules:
            modules[path] = read_module(folder, path)
            pending += [source for source, _, _ in modules[path].imports]
    for path, module in modules.items():
        for source, name, _ in module.imports:
            if name not in modules[source].exports:
                raise ValueError(f"{path} imports {name}, which {source} does not export")
    graph = {path: dict.fromkeys(source for source, _, _ in one.imports) for path, one in sorted(modules.items())}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(f"modules import each other: {' → '.join(error.args[1])}") from None
    return {path: modules[path] for path in order}


def bundle(folder: Path, entry: str) -> str:
    """One script that does what the module `entry` of a folder does. Raises ValueError."""
    modules = read_modules(folder, entry)
    numbers = {path: number for number, path in enumerate(modules)}
    parts = []
    for path, module in modules.items():
        taken: dict[str, list[str]] = {}
        for source, name, local in module.imports:
            taken.setdefault(source, []).append(name if name == local else f"{name}: {local}")
        imports = "".join(f"const {{{', '.join(names)}}} = $module{numbers[one]};\n" for one, names in taken.items())
        exports = ", ".join(name if name == local else f"{name}: {local}" for name, local in module.exports.items())
        parts.append(
            f"// {path}\nconst $module{numbers[path]} = (() => {{\n{imports}{module.body.rstrip()}\n"
            f"return {{{exports}}};\n}})();\n"
        )
    return "".join(parts)
