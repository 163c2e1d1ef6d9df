"""Profiles, config.toml, and what is ignored with a warning."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from support.cli import Cli
from support.valkey import ValkeyServer

from awictl import Settings

NOBODY = 65534


def profile_in_use(user: Cli, *options: str) -> str:
    """The host of the server, which is the name of the profile in these tests."""
    rows = {row["setting"]: row["value"] for row in user.ok(*options, "config", "show").rows}
    return str(rows["REDIS_HOST"])


def test_the_default_profile_counts_least(user: Cli) -> None:
    profiles = "".join(f'[profiles.{name}]\nredis_host = "{name}"\n' for name in ("a", "b", "c", "d"))
    user.configure(f'default_profile = "a"\n{profiles}')
    assert profile_in_use(user) == "a"
    (user.home / ".env").write_text("AWI_PROFILE=b")
    assert profile_in_use(user) == "b"
    assert profile_in_use(user.having(AWI_PROFILE="c")) == "c"
    assert profile_in_use(user.having(AWI_PROFILE="c"), "--profile", "d") == "d"
    assert profile_in_use(user, "--profile", "") == "localhost", "none at all"
    assert "profile: d;" in user.ok("--profile", "d", "config", "show").err


@pytest.mark.parametrize("config", ['default_profile = "missing"\n[profiles.known]\n', "default_profile = 7\n"])
def test_a_default_profile_that_does_not_exist_is_an_error(user: Cli, config: str) -> None:
    user.configure(config)
    user("health").error(2, "config.toml", "profile")


def test_profiles_are_listed(user: Cli) -> None:
    assert "config init" in user.ok("config", "profiles", "-o", "table").err
    user.configure(
        'default_profile = "staging"\n'
        '[profiles.production]\nredis_url = "rediss://u:hunter2@h:1/2"\nread_only = true\n'
        'mongodb_uri = "mongodb://u:hunter2@m/awi"\n'
        "[profiles.staging]\nembedded = true\n[profiles.broken]\nredis_prot = 1\n"
    )
    result = user.having(REDIS_HOST="elsewhere", AWI_READ_ONLY="1").ok("config", "profiles")
    rows = {row["profile"]: row for row in result.rows}
    assert rows["production"] == {
        "profile": "production", "default": False, "redis": "rediss://h:1/2", "archive": "mongodb://m/awi",
        "read_only": True,
    }  # fmt: skip
    assert (rows["staging"]["redis"], rows["staging"]["default"], rows["staging"]["archive"]) == (
        "embedded",
        True,
        None,
    )
    assert "redis_port" in rows["broken"]["error"]
    assert "hunter2" not in result.text + result.err
    assert user.ok("config", "profiles", "-o", "ids").lines == ["broken", "production", "staging"]
    assert "production" in user.ok("config", "profiles", "-o", "table").table()


def test_init_writes_a_file_that_is_valid_without_its_comment_signs(user: Cli) -> None:
    file = user.home / "config" / "awictl" / "config.toml"
    assert user.ok("config", "path").json == {"file": str(file), "exists": False}
    assert user.ok("config", "init", "-o", "ids").lines == [str(file)]
    assert user.ok("config", "path", "-o", "ids").lines == [str(file)]
    assert file.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(file.read_text()) == {}, "everything is commented out"
    user("config", "init").error(4, str(file), "exists already")
    lines = [line.removeprefix("# ") for line in file.read_text().splitlines() if "=" in line or line[2:3] == "["]
    lines = [line for line in lines if not line.startswith(("#", "A "))]
    file.write_text("\n".join(lines))
    loaded = tomllib.loads(file.read_text())
    assert set(loaded["profiles"]["example"]) == {name.lower() for name, _, _ in Settings().rows()}
    assert user.ok("config", "show", "--profile", "example").err.count("\n") == 1, "no warning"


def test_init_reports_a_folder_that_cannot_be_made(user: Cli) -> None:
    (user.home / "config").write_text("a file")
    user("config", "init").error(4, "config.toml", "cannot be written")


# -- unknown names


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_an_unknown_variable_is_warned_about_once(user: Cli, place: str) -> None:
    if place == "environment":
        user = user.having(AWI_READONLY="1")
    else:
        (user.home / ".env").write_text("AWI_READONLY=1\n")
    result = user.ok("config", "show")
    assert result.err.count("AWI_READONLY") == 1 and "did you mean AWI_READ_ONLY?" in result.err
    assert place in result.err
    assert "AWI_READONLY" not in user.ok("config", "show", "-q").err
    assert "AWI_READONLY" not in user.ok("session", "list", "--help").err


def test_variables_of_awictl_and_of_the_app_are_known(user: Cli) -> None:
    known = {"AWI_COMPLETION_SECONDS": "1", "AWI_USE_REDIS": "true", "AWI_TIMEOUT": "3", "AWICTL_X": "1", "AWI_Y": ""}
    assert "there is no setting" not in user.having(**known).ok("config", "show").err


def test_an_unknown_key_of_the_config_file_is_warned_about(user: Cli) -> None:
    user.configure('default_profil = "p"\n[profiles.p]\n[profiles.other]\nfuture_setting = 1\n')
    result = user.ok("config", "show")
    assert result.err.count("default_profil'") == 1 and "did you mean default_profile?" in result.err
    assert user.ok("config", "show", "-q").err == ""


def test_an_unknown_key_of_the_profile_in_use_is_an_error_that_names_the_nearest(user: Cli) -> None:
    user.configure("[profiles.p]\nread_olny = true\n")
    user("--profile", "p", "config", "show").error(2, "read_olny", "did you mean read_only?")


# -- HOME and foreign files


@pytest.mark.parametrize("home", ["empty", "unset"])
def test_without_home_nothing_falls_through_to_another_folder(user: Cli, valkey: ValkeyServer, home: str) -> None:
    lost = user.lacking("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME")
    if home == "empty":
        lost = lost.having(HOME="")
    there = lost.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))
    listed = there.ok("session", "list")
    assert "HOME is not set" in listed.err and "config.toml" in listed.err
    assert there.ok("session", "list", "-q").err == ""
    there("--profile", "p", "session", "list").error(2, "HOME", "XDG_CONFIG_HOME")
    for words in (["config", "init"], ["config", "profiles"]):
        there(*words).error(2, "HOME", "XDG_CONFIG_HOME")
    for words in (["--embedded", "session", "list", "-q"], ["embedded", "status", "-q"], ["embedded", "start", "-q"]):
        lost(*words).error(2, "HOME", "XDG_DATA_HOME")
    lost.having(AWI_EMBEDDED_DIR="~/x")("embedded", "status", "-q").error(2, "HOME")


def test_with_xdg_folders_home_is_not_needed(user: Cli) -> None:
    assert user.lacking("HOME").ok("config", "profiles").code == 0


@pytest.mark.parametrize("fault", ["foreign", "world-writable"])
def test_a_dotenv_file_that_others_can_write_is_not_read(user: Cli, fault: str) -> None:
    file = user.home / ".env"
    file.write_text("REDIS_HOST=evil.example.com\n")
    if fault == "foreign":
        if os.getuid() != 0:
            pytest.skip("only root can give a file to another user")
        os.chown(file, NOBODY, NOBODY)
    else:
        file.chmod(0o666)
    result = user.ok("config", "show")
    assert "evil.example.com" not in result.text
    assert str(file) in result.err and "is not read" in result.err
    assert user.ok("config", "show", "-q").err == ""


def test_a_dotenv_file_that_cannot_be_read_is_reported(user: Cli) -> None:
    if os.getuid() == 0:
        pytest.skip("root can read every file")
    file: Path = user.home / ".env"
    file.write_text("REDIS_HOST=h\n")
    file.chmod(0)
    user("config", "show").error(2, ".env", "Permission denied")
