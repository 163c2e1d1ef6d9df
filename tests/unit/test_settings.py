"""Settings: where each value comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from material import Load, profile

from awictl.errors import InvalidInput
from awictl.settings import Settings, default_config_file

# -- where values come from


def test_defaults(load_settings: Load) -> None:
    settings = load_settings()
    assert settings == Settings()
    assert (settings.redis_address, settings.session_ttl_ms) == ("redis://localhost:6379/0", 1_800_000)
    assert {source for _, _, source in settings.rows()} == {"default"}


def test_each_place_wins_over_the_next(load_settings: Load) -> None:
    places: list[tuple[str, dict[str, Any]]] = [
        ("option", {"options": {"redis_host": "a"}}),
        ("environment", {"environ": {"REDIS_HOST": "b"}}),
        (".env", {"dotenv": "REDIS_HOST=c"}),
        ("profile p", profile('redis_host = "d"')),
    ]
    while places:
        settings = load_settings(**{name: value for _, place in places for name, value in place.items()})
        assert settings.redis_host == {"option": "a", "environment": "b", ".env": "c", "profile p": "d"}[places[0][0]]
        assert settings.sources == {"redis_host": places[0][0]}
        assert ("REDIS_HOST", settings.redis_host, places[0][0]) in settings.rows()
        del places[0]


def test_values_of_several_places_come_together(load_settings: Load) -> None:
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


def test_a_profile_may_use_either_name(load_settings: Load) -> None:
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


def test_the_profile_of_the_option_wins(load_settings: Load) -> None:
    config = '[profiles.p]\nredis_host = "h"\n[profiles.other]\nredis_host = "o"'
    settings = load_settings(profile="p", environ={"AWI_PROFILE": "other"}, dotenv="AWI_PROFILE=third", config=config)
    assert settings.redis_host == "h"


def test_dotenv_values_are_taken_as_they_are(load_settings: Load) -> None:
    settings = load_settings(dotenv="# comment\nexport REDIS_PASSWORD='a${HOME}$b'\nREDIS_USERNAME=\"ünï\"\nnonsense\n")
    assert (settings.redis_password, settings.redis_username) == ("a${HOME}$b", "ünï")


def test_no_files_at_all(tmp_path: Path) -> None:
    settings = Settings.load(environ={}, config_file=tmp_path / "none.toml", dotenv_file=tmp_path / "none")
    assert settings == Settings()


def test_profiles_are_kept_in_the_config_folder() -> None:
    assert default_config_file().parts[-2:] == ("awictl", "config.toml")


# -- what is refused


def test_an_unknown_profile_is_an_error_that_names_the_known_ones(load_settings: Load) -> None:
    with pytest.raises(InvalidInput, match=r"no profile 'q' in .*config\.toml \(known: p, z\)"):
        load_settings(profile="q", config="[profiles.z]\n[profiles.p]")


@pytest.mark.parametrize("config", [None, "", "profiles = 5", "profiles.p = 5", "[profiles]", "p = {}"])
def test_a_profile_that_is_not_there(load_settings: Load, config: str | None) -> None:
    with pytest.raises(InvalidInput, match="no profile 'p'"):
        load_settings(profile="p", config=config)


@pytest.mark.parametrize("name", ["redis_hots", "REDIS_HOST", "profile", "sources", ""])
def test_an_unknown_name_in_a_profile(load_settings: Load, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"no setting '{name}'"):
        load_settings(**profile(f'"{name}" = "x"'))


@pytest.mark.parametrize("config", ["[profiles.p", "[profiles.p]\nx = ", b"[profiles.p]\nx = '\xff'"])
def test_a_config_file_that_is_not_toml(load_settings: Load, config: str | bytes) -> None:
    with pytest.raises(InvalidInput, match=r"config\.toml: cannot be read"):
        load_settings(profile="p", config=config)


def test_a_config_file_is_read_only_where_a_profile_is_chosen(load_settings: Load) -> None:
    assert load_settings(config="not toml [") == Settings()


def test_a_dotenv_file_that_is_not_text(load_settings: Load) -> None:
    with pytest.raises(InvalidInput, match=r"\.env"):
        load_settings(dotenv=b"REDIS_HOST=\xff\xfe")


BAD_NUMBERS = [
    (name, value) for name in ("REDIS_PORT", "REDIS_DB") for value in ("x", "1.5", "-1", "1e3", "nan", "inf")
]
BAD_NUMBERS += [("REDIS_PORT", "0"), ("REDIS_PORT", "65536"), ("AWI_MAX_ACTIONS_PER_SESSION", "0")]
BAD_NUMBERS += [("AWI_TIMEOUT", value) for value in ("x", "0", "-5", "nan", "inf", "-inf", "1e400")]
BAD_NUMBERS += [("SESSION_TTL_MINUTES", value) for value in ("0", "nan", "inf", "9" * 400)]


@pytest.mark.parametrize(("name", "value"), BAD_NUMBERS)
def test_bad_numbers_are_refused_by_name(load_settings: Load, name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{name} \(environment\): "):
        load_settings(environ={name: value})


def test_a_number_that_is_too_large_is_not_called_too_small(load_settings: Load) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(environ={"AWI_TIMEOUT": "inf"})
    assert "at least" not in str(caught.value)


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
def test_values_of_the_wrong_kind_in_a_profile(load_settings: Load, line: str) -> None:
    with pytest.raises(InvalidInput):
        load_settings(**profile(line))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("YES", True), (" on ", True), ("0", False), ("False", False), ("no", False)],
)
def test_booleans(load_settings: Load, text: str, value: bool) -> None:
    assert load_settings(environ={"AWI_READ_ONLY": text}).read_only is value


@pytest.mark.parametrize("text", ["maybe", "2", "truee", "-"])
def test_what_is_neither_true_nor_false(load_settings: Load, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^AWI_READ_ONLY \(environment\): .* true or false"):
        load_settings(environ={"AWI_READ_ONLY": text})
