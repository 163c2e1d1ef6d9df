"""The house of DESIGN, section 5: arrows point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import awictl

ROOT = Path(awictl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

FOUNDATION = {"errors", "util", "settings", "_version"}
STORAGE = {"document", "store", "archive"}
#: The modules at the top that say what can be done: manager, updates, cache …
ROOT_MODULES = {path.stem for path in ROOT.glob("*.py")} - FOUNDATION - {"__init__", "__main__"}
DOMAIN = ROOT_MODULES | {"agents", "media", "query_cache"}

#: What each room may import of awictl, besides itself.
ALLOWED = {
    "errors": set(),
    "_version": set(),
    "util": {"errors"},
    "settings": {"errors", "util"},
    "document": {"errors", "util"},
    "store": {"document"} | FOUNDATION,
    "archive": {"document", "store"} | FOUNDATION,
    **dict.fromkeys(DOMAIN | {"__init__"}, DOMAIN | STORAGE | FOUNDATION),
    "live": DOMAIN | STORAGE | FOUNDATION,
    "doctor": DOMAIN | STORAGE | FOUNDATION,
    "server": DOMAIN | STORAGE | FOUNDATION,
    "cli": DOMAIN | STORAGE | FOUNDATION | {"server", "doctor", "live"},
    "__main__": {"cli"} | FOUNDATION,
}
OUTSIDE = {"redis", "hiredis", "pymongo", "typer", "rich", "starlette", "uvicorn", "platformdirs", "dotenv"}
IMPURE = {"asyncio", "io", "os", "pathlib", "socket", "subprocess"}


def room_of(path: Path) -> str:
    """The folder, or for a file at the top the module, that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The full names of the modules that a file imports anywhere, relative ones resolved."""
    package = ("awictl", *path.relative_to(ROOT).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def rooms(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("awictl.")}


def test_relative_imports_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "store" / "redis.py"
    file.parent.mkdir()
    file.write_text("def f():\n    from ..document import keys\n    from . import base\n    import redis.asyncio\n")
    assert imported(file) == {"awictl.document.keys", "awictl.store.base", "redis.asyncio"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    room = room_of(path)
    assert rooms(imported(path)) - {room} <= ALLOWED[room]


@pytest.mark.parametrize("path", [one for one in FILES if room_of(one) == "document"], ids=lambda path: path.name)
def test_document_is_pure(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & (OUTSIDE | IMPURE)


def test_every_room_is_looked_at() -> None:
    assert {"document", "store", "settings", "errors", "manager"} <= {room_of(path) for path in FILES}
