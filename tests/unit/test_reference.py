"""Completions and manual pages are up to date with the tree of commands, and valid for shells and groff."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from awictl import InvalidInput, Settings
from awictl.cli import reference
from awictl.cli.reference.tree import CommandNode, tree
from awictl.store.embedded import embedded_server
from awictl.util.config_files import default_config_file

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root() -> CommandNode:
    return tree()


def test_files_are_up_to_date() -> None:
    for name, text in reference.files().items():
        assert (REPOSITORY / name).read_text() == text, f"{name}: run `uv run python -m awictl.cli.reference`"


def test_no_file_of_a_removed_command_is_left() -> None:
    generated = set(reference.files())
    existing = {
        f"{folder}/{path.name}" for folder in ("completions", "man") for path in (REPOSITORY / folder).iterdir()
    }
    assert existing == generated


def test_every_command_is_documented(root: CommandNode) -> None:
    for node in root.walk():
        assert node.help, node.path
        for one in (*node.options, *node.arguments):
            assert one.help, (node.path, one.names)


def test_every_command_has_an_example_that_names_it(root: CommandNode) -> None:
    for node in root.walk():
        if not node.children:
            command = " ".join(node.path)
            assert any(command in example for example in node.examples), node.path


def test_values_are_suggested_for_options_that_take_others_too(root: CommandNode) -> None:
    options = {(node.path[-1], option.names[-1]): option for node in root.walk() for option in node.options}
    assert {"default", "email"} <= {*options["export", "--redact"].choices}
    assert {"agent", "status"} <= {*options["list", "--group-by"].choices}
    assert 'words="default email ' in reference.files()["completions/awictl.bash"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_accept_the_completions(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", REPOSITORY / "completions" / f"awictl.{shell}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], {"session", "agent", "demo", "--profile"}),
        (["session", ""], {"create", "list", "touch", "--output"}),
        (["-o", "json", "session", "li"], {"list"}),
        (["session", "list", "--sort", "a"], {"activity", "actions", "agent"}),
        (["cache", "key", "--sort", "x", "--f"], {"--filters"}),
        (["session", "show", "-"], {"-o", "--output", "--help"}),
        (["session", "apply", "ID", "--o"], {"--observation", "--op-id", "--output"}),
    ],
)
def test_bash_completes(words: list[str], expected: set[str]) -> None:
    line = " ".join(f"'{word}'" for word in ["awictl", *words])
    script = f"""source {REPOSITORY}/completions/awictl.bash
COMP_WORDS=({line}); COMP_CWORD={len(words)}; _awictl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert expected <= set(done.stdout.split())
    assert all(word.startswith(words[-1]) for word in done.stdout.split())


def unescaped(roff: str) -> str:
    return roff.replace("\\-", "-").replace("\\(ti", "~").replace("\\&", "")


def test_the_manual_page_lists_every_setting_with_its_name_in_the_environment_and_its_default() -> None:
    page = reference.files()["man/awictl.1"]
    environment = unescaped(page.split(".SH ENVIRONMENT\n")[1].split(".SH ")[0])
    listed = re.findall(r"^\.B (\w+)$", environment, re.MULTILINE)
    assert {name for name, _, _ in Settings().rows()} <= set(listed)
    assert {"REDIS_URL", "AWI_PROFILE"} <= set(listed)
    assert len(listed) == len(set(listed))
    assert "TTL of a session, in minutes. Default: 30." in environment


@pytest.mark.parametrize("name", ["REDIS_URL", "AWI_PROFILE"])
def test_what_the_manual_page_says_of_the_environment_beyond_settings_is_true(name: str) -> None:
    value = {"REDIS_URL": "redis://elsewhere:7000/3", "AWI_PROFILE": "nobody-has-this"}[name]
    if name == "REDIS_URL":
        assert Settings.load(environ={name: value}).redis_port == 7000
    else:
        with pytest.raises(InvalidInput, match=value):
            Settings.load(environ={name: value})


def test_manual_pages_name_the_files_that_awictl_uses() -> None:
    for name, page in reference.files().items():
        if name.startswith("man/"):
            files = unescaped(page.split(".SH FILES\n")[1].split(".SH ")[0])
            assert re.findall(r"^\.I (.+)$", files, re.MULTILINE) == [
                "~/.config/awictl/config.toml",
                ".env",
                "~/.local/share/awictl/embedded/",
            ]
            assert ".SH ENVIRONMENT\n" in page


def test_the_files_are_where_the_manual_pages_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_config_file() == tmp_path / ".config/awictl/config.toml"
    assert embedded_server(Settings()).folder == tmp_path / ".local/share/awictl/embedded"


def test_manual_pages_are_clean_roff() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    pages = sorted((REPOSITORY / "man").glob("*.1"))
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *pages], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_ids_are_completed_where_a_file_is_possible_too() -> None:
    [session] = [one for one in tree().children if one.path[-1] == "session"]
    [compare] = [one for one in session.children if one.path[-1] == "compare"]
    assert [one.kind for one in compare.arguments] == ["session", "session"]
