"""Settings: precedence of the sources, and values that are rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from material import Load, profile

from awictl.errors import InvalidInput
from awictl.settings import SETTINGS, Settings
from awictl.util.config_files import default_config_file

# -- precedence


def test_defaults(load_settings: Load) -> None:
    settings = load_settings()
    assert settings == Settings()
    assert (settings.redis_address, settings.session_ttl_ms) == ("redis://localhost:6379/0", 1_800_000)
    assert {source for _, _, source in settings.rows()} == {"default"}


def test_precedence_of_the_sources(load_settings: Load) -> None:
    sources: list[tuple[str, dict[str, Any]]] = [
        ("option", {"options": {"redis_host": "a"}}),
        ("environment", {"environ": {"REDIS_HOST": "b"}}),
        (".env", {"dotenv": "REDIS_HOST=c"}),
        ("profile p", profile('redis_host = "d"')),
    ]
    while sources:
        settings = load_settings(**{name: value for _, source in sources for name, value in source.items()})
        assert settings.redis_host == {"option": "a", "environment": "b", ".env": "c", "profile p": "d"}[sources[0][0]]
        assert settings.sources == {"redis_host": sources[0][0]}
        assert ("REDIS_HOST", settings.redis_host, sources[0][0]) in settings.rows()
        del sources[0]


def test_values_from_several_sources_are_combined(load_settings: Load) -> None:
    settings = load_settings(
        {"redis_db": 3},
        environ={"REDIS_PORT": "7000", "REDIS_DB": "1"},
        dotenv="REDIS_PASSWORD='x y'\nMONGODB_URI=mongodb://elsewhere",
        **profile("read_only = true", "max_actions = 5"),
    )
    assert (settings.redis_db, settings.redis_port, settings.redis_password) == (3, 7000, "x y")
    assert (settings.read_only, settings.max_actions, settings.profile) == (True, 5, "p")


def test_empty_values_in_the_environment_count_as_not_set(load_settings: Load) -> None:
    settings = load_settings(
        environ={"REDIS_HOST": "", "REDIS_URL": "", "AWI_PROFILE": ""}, dotenv="REDIS_HOST=c\nREDIS_PORT="
    )
    assert (settings.redis_host, settings.redis_port, settings.profile) == ("c", 6379, None)


def test_a_profile_may_use_field_names_or_environment_names(load_settings: Load) -> None:
    settings = load_settings(
        **profile("awi_max_actions_per_session = 7", "awi_read_only = true", "session_ttl_minutes = 0.5")
    )
    assert (settings.max_actions, settings.read_only, settings.session_ttl_ms) == (7, True, 30_000)


@pytest.mark.parametrize(
    "chosen", [{"profile": "p"}, {"environ": {"AWI_PROFILE": "p"}}, {"dotenv": "AWI_PROFILE=p"}], ids=str
)
def test_a_profile_is_chosen_by_option_environment_or_dotenv(load_settings: Load, chosen: dict[str, Any]) -> None:
    settings = load_settings(config='[profiles.p]\nredis_host = "h"\n[profiles.other]\nredis_host = "o"', **chosen)
    assert (settings.profile, settings.redis_host) == ("p", "h")


def test_the_option_profile_takes_precedence(load_settings: Load) -> None:
    config = '[profiles.p]\nredis_host = "h"\n[profiles.other]\nredis_host = "o"'
    settings = load_settings(profile="p", environ={"AWI_PROFILE": "other"}, dotenv="AWI_PROFILE=third", config=config)
    assert settings.redis_host == "h"


def test_dotenv_values_are_not_interpolated(load_settings: Load) -> None:
    settings = load_settings(dotenv="# comment\nexport REDIS_PASSWORD='a${HOME}$b'\nREDIS_USERNAME=\"ünï\"\nnonsense\n")
    assert (settings.redis_password, settings.redis_username) == ("a${HOME}$b", "ünï")


def test_defaults_if_no_file_exists(tmp_path: Path) -> None:
    settings = Settings.load(environ={}, config_file=tmp_path / "none.toml", dotenv_file=tmp_path / "none")
    assert settings == Settings()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_help_text_that_names_its_unit(name: str) -> None:
    help = SETTINGS[name].help
    assert help[0].isupper() and help.endswith(".") and "\n" not in help
    for unit in ("minutes", "bytes"):
        assert not name.endswith(unit) or f"in {unit}" in help


def test_errors_name_the_option(load_settings: Load) -> None:
    for options, label in (
        ({"timeout": 0}, "--timeout: 0 is less than the minimum, 0.001"),
        ({"redis_url": "redis://h:0"}, "--redis, port: 0 is less than the minimum, 1"),
        ({"archive_url": "h"}, "--archive: this is not an archive"),
    ):
        with pytest.raises(InvalidInput, match=f"^{label}"):
            load_settings(options)


def test_the_default_config_file() -> None:
    assert default_config_file().parts[-2:] == ("awictl", "config.toml")


# -- rejected values


def test_an_unknown_profile_is_an_error_that_names_the_known_ones(load_settings: Load) -> None:
    with pytest.raises(InvalidInput, match=r"no profile 'q' in .*config\.toml \(known: p, z\)"):
        load_settings(profile="q", config="[profiles.z]\n[profiles.p]")


@pytest.mark.parametrize("config", [None, "", "profiles = 5", "profiles.p = 5", "[profiles]", "p = {}"])
def test_a_missing_profile_is_an_error(load_settings: Load, config: str | None) -> None:
    with pytest.raises(InvalidInput, match="no profile 'p'"):
        load_settings(profile="p", config=config)


@pytest.mark.parametrize("name", ["redis_hots", "REDIS_HOST", "profile", "sources", ""])
def test_an_unknown_setting_in_a_profile_is_an_error(load_settings: Load, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"no setting '{name}'"):
        load_settings(**profile(f'"{name}" = "x"'))


@pytest.mark.parametrize("config", ["[profiles.p", "[profiles.p]\nx = ", b"[profiles.p]\nx = '\xff'"])
def test_a_malformed_config_file_is_an_error(load_settings: Load, config: str | bytes) -> None:
    with pytest.raises(InvalidInput, match=r"config\.toml: cannot be read"):
        load_settings(profile="p", config=config)


def test_a_malformed_config_file_is_an_error_without_a_profile_too(load_settings: Load) -> None:
    """It may name the default profile: to go on would be a fall-back to localhost."""
    with pytest.raises(InvalidInput, match=r"config\.toml: cannot be read"):
        load_settings(config="not toml [")


def test_a_dotenv_file_that_is_not_utf8_is_an_error(load_settings: Load) -> None:
    with pytest.raises(InvalidInput, match=r"\.env"):
        load_settings(dotenv=b"REDIS_HOST=\xff\xfe")


BAD_NUMBERS = [
    (name, value) for name in ("REDIS_PORT", "REDIS_DB") for value in ("x", "1.5", "-1", "1e3", "nan", "inf")
]
BAD_NUMBERS += [("REDIS_PORT", "0"), ("REDIS_PORT", "65536"), ("AWI_MAX_ACTIONS_PER_SESSION", "0")]
BAD_NUMBERS += [("AWI_TIMEOUT", value) for value in ("x", "0", "-5", "nan", "inf", "-inf", "1e400")]
BAD_NUMBERS += [("SESSION_TTL_MINUTES", value) for value in ("0", "nan", "inf", "9" * 400)]


@pytest.mark.parametrize(("name", "value"), BAD_NUMBERS)
def test_errors_about_numbers_name_the_setting_and_its_source(load_settings: Load, name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{name} \(environment\): "):
        load_settings(environ={name: value})


def test_a_number_that_is_too_large_is_not_reported_as_too_small(load_settings: Load) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(environ={"AWI_TIMEOUT": "inf"})
    assert "is greater than the maximum" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "redis_port = true",
        "redis_port = 6379.5",
        "redis_port = inf",
        "redis_port = nan",
        "redis_port = [1]",
        "timeout = true",
        "timeout = {}",
        "read_only = 2",
        "read_only = []",
        'read_only = "perhaps"',
        'redis_host = ["h"]',
        "redis_host = true",
        "redis_socket = {}",
        "redis_url = 5",
        'redis_url = ["redis://h"]',
    ],
)
def test_values_of_the_wrong_type_in_a_profile(load_settings: Load, line: str) -> None:
    with pytest.raises(InvalidInput):
        load_settings(**profile(line))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("YES", True), (" on ", True), ("0", False), ("False", False), ("no", False)],
)
def test_booleans(load_settings: Load, text: str, value: bool) -> None:
    assert load_settings(environ={"AWI_READ_ONLY": text}).read_only is value


@pytest.mark.parametrize("text", ["maybe", "2", "truee", "-"])
def test_invalid_booleans(load_settings: Load, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^AWI_READ_ONLY \(environment\): .* true or false"):
        load_settings(environ={"AWI_READ_ONLY": text})


def test_a_dotenv_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    loop, dangling, hostile = tmp_path / "loop", tmp_path / "dangling", tmp_path / "hostile"
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "missing")
    hostile.symlink_to("/proc/self/mem")  # a file that even root cannot read from its start
    for file, reason in ((loop, "symbolic links"), (dangling, "No such file"), (hostile, "cannot be read: ")):
        with pytest.raises(InvalidInput, match=reason) as raised:
            Settings.load(environ={}, config_file=tmp_path / "none.toml", dotenv_file=file)
        assert str(raised.value).startswith(f"{file}: cannot be read: ") and raised.value.exit_code == 2


def test_a_folder_named_dotenv_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    Settings.load(environ={}, config_file=tmp_path / "none.toml", dotenv_file=tmp_path / ".env")
