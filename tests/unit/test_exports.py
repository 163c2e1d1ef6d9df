"""What `import awictl` offers, and what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import awictl
from awictl import errors

HEAVY = ["hiredis", "orjson", "pymongo", "redis", "rich", "starlette", "typer"]


def loaded_after(code: str) -> list[str]:
    """Which of the costly packages a fresh interpreter has loaded after `code`."""
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


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RedisStore'"):
        awictl.RedisStore  # noqa: B018


def test_importing_awictl_loads_nothing_costly() -> None:
    assert loaded_after("import awictl; awictl.__version__") == []


def test_using_every_name_connects_no_client() -> None:
    assert "redis" not in loaded_after("import awictl\nfor name in awictl.__all__: getattr(awictl, name)")
    assert loaded_after("from awictl import Settings; Settings.load(environ={})") == []
