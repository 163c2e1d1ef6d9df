"""The public names of `awictl`, and that importing it imports nothing costly."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import awictl
from awictl import errors

HEAVY = ["hiredis", "msgspec", "orjson", "pymongo", "redis", "rich", "starlette", "typer"]


def loaded_after(code: str) -> list[str]:
    """Return the costly packages that a new interpreter has imported after running `code`."""
    script = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    names: list[str] = json.loads(done.stdout)
    return names


def test_all_is_sorted_and_has_no_duplicates() -> None:
    assert list(awictl.__all__) == sorted(set(awictl.__all__))


@pytest.mark.parametrize("name", awictl.__all__)
def test_every_name_can_be_imported_and_is_defined_in_awictl(name: str) -> None:
    value = getattr(awictl, name)
    assert name == "__version__" or (value.__module__.startswith("awictl.") and value.__name__ == name)


def test_every_error_is_exported() -> None:
    assert {name for name in vars(errors) if isinstance(getattr(errors, name), type)} <= set(awictl.__all__)


def imports_for_type_checkers() -> set[tuple[str, str]]:
    """Return (module, name) of each `from .module import name as name` under `if TYPE_CHECKING`."""
    module = ast.parse(Path(awictl.__file__).read_text(encoding="utf-8"))
    [block] = [
        node
        for node in module.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    found = set()
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 1
        for alias in node.names:
            assert alias.asname == alias.name, "a type checker takes only `import name as name` for a public name"
            found.add((node.module, alias.name))
    return found


def test_type_checkers_know_the_same_names_as_the_table() -> None:
    assert imports_for_type_checkers() == {(module, name) for name, module in awictl._HOMES.items()}


def test_an_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RedisStore'"):
        awictl.RedisStore  # type: ignore[attr-defined]  # noqa: B018


def test_importing_awictl_imports_nothing_costly() -> None:
    assert loaded_after("import awictl; awictl.__version__") == []


def test_using_every_public_name_imports_no_redis_client() -> None:
    assert "redis" not in loaded_after("import awictl\nfor name in awictl.__all__: getattr(awictl, name)")
    assert loaded_after("from awictl import Settings; Settings.load(environ={})") == []
