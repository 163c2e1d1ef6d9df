"""The benchmarks, which no test runs: the names that they import exist, and their README lists each."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_imported_names_exist(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("awictl", "support"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_the_readme_lists_every_script() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    runnable = [path.name for path in SCRIPTS if "__main__" in path.read_text(encoding="utf-8")]
    assert runnable and not [name for name in runnable if f"`{name}`" not in readme]
