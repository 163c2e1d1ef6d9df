"""The layout of DESIGN, section 5: who may import whom, and what a file may be like."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import awictl

ROOT = Path(awictl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

#: What each folder (and each module of the package root) may import of awictl, besides itself. A module with an entry
#: of its own is held to that one instead of its folder's: the facade opens all services, which know nothing of it.
#: Everything is listed by name, so that a new folder, or a new module in the package root, fails here first.
BASICS = {"errors", "settings", "util"}
STORAGE = {"document", "store", "archive"} | BASICS
SERVICES = {"sessions", "agents", "query_cache", "media", "diagnostics"}
ALLOWED: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "util": {"errors"},
    "settings": {"errors", "util"},
    "document": {"errors", "util"},
    "store": {"document"} | BASICS,
    "archive": {"document", "store"} | BASICS,
    "sessions": STORAGE,
    "fallback": {"sessions"} | STORAGE,
    "agents": STORAGE,
    "query_cache": {"sessions"} | STORAGE,
    "media": STORAGE,
    "diagnostics": {"fallback"} | SERVICES | STORAGE,
    "sessions.manager": {"fallback"} | SERVICES | STORAGE,
    "server": {"fallback"} | SERVICES | STORAGE | {"_version"},
    "ui": {"fallback"} | SERVICES | STORAGE | {"_version"},
    "cli": {"server", "ui", "fallback"} | SERVICES | STORAGE | {"_version"},
    "__init__": SERVICES | STORAGE | {"_version"},
    "__main__": {"cli"},
}
OUTSIDE = {"redis", "hiredis", "pymongo", "typer", "rich", "starlette", "uvicorn", "platformdirs", "dotenv"}
IMPURE = {"asyncio", "io", "os", "pathlib", "socket", "subprocess"}


def folder_of(path: Path) -> str:
    """The folder of a file, or the module itself in the package root."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def entry_of(path: Path) -> str:
    """The entry of the table that a file is held to."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return module if module in ALLOWED else folder_of(path)


@cache
def imports_and_classes(path: Path) -> list[ast.AST]:
    """The import statements and the classes of a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)]


def imported(path: Path) -> set[str]:
    """The full names of the modules that a file imports anywhere, relative ones resolved."""
    package = ("awictl", *path.relative_to(ROOT).parts[:-1])
    names = set()
    for node in imports_and_classes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def module_of(path: Path) -> str:
    parts = ("awictl", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def module_imports(names: set[str], modules: Mapping[str, Path]) -> set[str]:
    """The modules among imported names: `pkg.module`, or `pkg.module` of `pkg.module.function`."""
    found = {name if name in modules else name.rpartition(".")[0] for name in names}
    return {name for name in found if name in modules}


def folders(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("awictl.")}


def test_relative_imports_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "store" / "redis.py"
    file.parent.mkdir()
    file.write_text("def f():\n    from ..document import keys\n    from . import base\n    import redis.asyncio\n")
    assert imported(file) == {"awictl.document.keys", "awictl.store.base", "redis.asyncio"}


def test_imports_point_one_way() -> None:
    others = {path: folders(imported(path)) - {folder_of(path)} - ALLOWED[entry_of(path)] for path in FILES}
    assert not {str(path.relative_to(ROOT)): wrong for path, wrong in others.items() if wrong}


def test_the_table_names_exactly_what_is_there() -> None:
    assert {folder_of(path) for path in FILES} == {name for name in ALLOWED if "." not in name}


def test_the_package_root_holds_five_modules() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {"__init__", "__main__", "_version", "errors", "settings"}


def test_no_import_cycles() -> None:
    """No module imports itself through others, imports inside functions and for type checking included."""
    modules = {module_of(path): path for path in FILES}
    graph = {name: module_imports(imported(path), modules) - {name} for name, path in modules.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize("path", [one for one in FILES if folder_of(one) == "document"], ids=lambda path: path.name)
def test_document_is_pure(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & (OUTSIDE | IMPURE)


def test_no_class_name_is_defined_twice() -> None:
    names = Counter(node.name for path in FILES for node in imports_and_classes(path) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_a_long_file_gives_its_reason() -> None:
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in FILES}
    lines = {name: len(text.splitlines()) for name, text in texts.items()}
    without = [name for name, text in texts.items() if "Longer than 350 lines because" not in text]
    assert not {name: lines[name] for name in without if lines[name] > 350}
