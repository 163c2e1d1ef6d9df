"""The layout of `awictl/cli`: a folder per noun, a module per verb, and only what runs is imported."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from awictl.cli import main
from awictl.cli.reference.tree import CommandNode, tree

CLI = Path(main.__file__).parent
SHARED = {"framework", "reference"}
FOLDERS = {path.name for path in CLI.iterdir() if path.is_dir() and path.name != "__pycache__"} - SHARED
#: The module of each command: `session.create`, `serve.command`.
COMMAND_MODULES = sorted(
    f"{name}.{verb}"
    for name in main.COMMANDS
    for verb in getattr(importlib.import_module(f"awictl.cli.{name}"), "COMMANDS", ("command",))
)


def test_each_entry_of_the_root_has_a_folder() -> None:
    assert set(main.COMMANDS) == FOLDERS


@pytest.mark.parametrize("node", tree().children, ids=lambda node: node.path[-1])
def test_the_root_lists_the_first_sentence_of_each_help(node: CommandNode) -> None:
    assert main.COMMANDS[node.path[-1]].rstrip(".") == node.summary


@pytest.mark.parametrize("node", [one for one in tree().children if one.children], ids=lambda node: node.path[-1])
def test_a_group_lists_the_whole_first_sentence_of_each_help(
    node: CommandNode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([node.path[-1], "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for child in node.children:
        assert f"{child.path[-1]} {child.summary}." in text


@pytest.mark.parametrize("module", COMMAND_MODULES)
def test_a_command_module_holds_command_run_and_render_in_this_order(module: str) -> None:
    tree = ast.parse((CLI / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    functions = [one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    parts = [name for name in functions if name in ("command", "run", "render")]
    assert parts in (["command", "run", "render"], ["command", "run"]), functions
    if len(parts) == 2:
        assert module == "serve.command", "only a server prints nothing"


@pytest.mark.parametrize("name", sorted(name for name in main.COMMANDS if (CLI / name / "list.py").exists()))
def test_a_noun_has_a_view(name: str) -> None:
    assert (CLI / name / "view.py").exists()


def test_no_folder_imports_another_but_framework() -> None:
    """`completion` prints a script that `reference` generates."""
    for path in sorted(CLI.rglob("*.py")):
        assert_imports_framework_only(path)


def assert_imports_framework_only(path: Path) -> None:
    package = ("awictl", "cli", *path.relative_to(CLI).parts[:-1])
    own = package[2] if len(package) > 2 else None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            target = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            if target[:2] == ("awictl", "cli") and len(target) > 2:
                more = {"reference"} if own == "completion" else set()
                assert target[2] in {own, "framework", "main", "", *more}, f"{path} imports {'.'.join(target)}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--version"], set()),
        (["--help"], set()),
        (["session", "show", "--help"], {"session", "session.show"}),
        (["cache", "key"], {"cache", "cache.key", "cache.arguments"}),
        (["config", "show"], {"config", "config.show", "config.view"}),
        (["health", "--help"], {"health", "health.command"}),
    ],
    ids=lambda value: " ".join(value if isinstance(value, list) else sorted(value)),
)
def test_starting_a_command_imports_only_that_command(words: list[str], expected: set[str]) -> None:
    script = """
import sys
from awictl.cli.main import run
sys.stdout = open('/dev/null', 'w')
assert run(sys.argv[1:]) == 0
print(*(name.removeprefix('awictl.') for name in sys.modules if name.startswith('awictl.')), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = [name.partition(".") for name in done.stderr.splitlines()[-1].split()]
    assert not [name for folder, _, name in modules if folder == "archive"], "an archive is loaded when it is needed"
    imported = {name for folder, _, name in modules if folder == "cli" and name and name.split(".")[0] not in SHARED}
    assert imported == {"main"} | expected


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_no_command_module_imports_what_only_help_and_tables_need(module: str) -> None:
    script = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(f'awictl.cli.{name}')
    assert sys.argv[1] not in sys.modules, f'{name}: declare options with framework/params.py, and import the rest late'
"""
    done = subprocess.run(
        [sys.executable, "-c", script, module, *COMMAND_MODULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_printed_without_anything_heavy() -> None:
    """It takes less than an import of Typer: no parser, no event loop, no settings."""
    script = """
import sys
before = set(sys.modules)
sys.argv = ['awictl', '--version']
from awictl.__main__ import main
try:
    main()
except SystemExit as error:
    assert not error.code, error
imported = set(sys.modules) - before
print(*imported, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("awictl "), done.stderr
    imported = set(done.stderr.split())
    assert "awictl.cli.main" in imported
    assert not imported & {"typer", "rich", "asyncio", "inspect", "dataclasses", "subprocess", "awictl.settings"}
