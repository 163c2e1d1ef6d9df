"""The archive in the settings: precedence of the sources, and masking of secrets."""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from material import Load, profile

from awictl import Settings
from awictl.archive.connect import open_archive
from awictl.errors import InvalidInput
from awictl.util.urls import check_archive_url, user_info, without_credentials

MONGO, OTHER, FILE = "mongodb://h/db", "mongodb://other/db", "sqlite:///archive.db"

# -- precedence

NAMED: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"environ": {"MONGODB_URI": MONGO}}, MONGO),
    ({"environ": {"AWI_ARCHIVE_URL": FILE}}, FILE),
    ({"dotenv": f"MONGODB_URI={MONGO}"}, MONGO),
    (profile(f'mongodb_uri = "{MONGO}"'), MONGO),
    (profile(f'archive_url = "{FILE}"'), FILE),
    (profile(f'awi_archive_url = "{FILE}"'), FILE),
    ({"options": {"mongodb_uri": MONGO}}, MONGO),
    ({"options": {"archive_url": FILE}}, FILE),
    # in one source: AWI_ARCHIVE_URL, which is more specific
    ({"environ": {"MONGODB_URI": MONGO, "AWI_ARCHIVE_URL": FILE}}, FILE),
    ({"options": {"mongodb_uri": MONGO, "archive_url": FILE}}, FILE),
    # in several sources: the nearest
    ({"options": {"mongodb_uri": MONGO}, "environ": {"AWI_ARCHIVE_URL": FILE}}, MONGO),
    ({"options": {"archive_url": FILE}, "environ": {"MONGODB_URI": MONGO}}, FILE),
    ({"options": {"mongodb_uri": MONGO}, "environ": {"MONGODB_URI": OTHER}}, MONGO),
    ({"environ": {"MONGODB_URI": MONGO}, "dotenv": f"AWI_ARCHIVE_URL={FILE}"}, MONGO),
    ({"environ": {"AWI_ARCHIVE_URL": FILE}, "dotenv": f"MONGODB_URI={MONGO}"}, FILE),
    ({"dotenv": f"MONGODB_URI={MONGO}", **profile(f'archive_url = "{FILE}"')}, MONGO),
    ({"environ": {"MONGODB_URI": ""}, "dotenv": f"MONGODB_URI={MONGO}"}, MONGO),
]
#: None: the archive of the embedded server.
EMBEDDED: list[tuple[dict[str, Any], str | None]] = [
    ({"options": {"embedded": True}}, None),
    ({"options": {"embedded": True}, "environ": {"MONGODB_URI": MONGO}}, None),
    ({"options": {"embedded": True}, "environ": {"AWI_ARCHIVE_URL": FILE}}, None),
    ({"options": {"embedded": True}, "environ": {"MONGODB_URI": MONGO, "AWI_ARCHIVE_URL": FILE}}, None),
    ({"options": {"embedded": True, "mongodb_uri": MONGO}}, MONGO),
    ({"options": {"embedded": True, "archive_url": FILE}}, FILE),
    ({"options": {"embedded": True, "mongodb_uri": MONGO}, "environ": {"AWI_ARCHIVE_URL": FILE}}, MONGO),
    ({"environ": {"AWI_EMBEDDED": "1"}}, None),
    ({"environ": {"AWI_EMBEDDED": "1", "MONGODB_URI": MONGO}}, None),
    ({"environ": {"AWI_EMBEDDED": "1", "AWI_ARCHIVE_URL": FILE}}, FILE),
    ({"environ": {"AWI_EMBEDDED": "1"}, "options": {"mongodb_uri": MONGO}}, MONGO),
    ({"environ": {"AWI_EMBEDDED": "1"}, "options": {"archive_url": FILE}}, FILE),
    ({"environ": {"AWI_EMBEDDED": "1"}, "dotenv": f"MONGODB_URI={MONGO}"}, None),
]


@pytest.mark.parametrize(("places", "wanted"), NAMED, ids=str)
def test_the_nearest_source_names_the_archive(load_settings: Load, places: dict[str, Any], wanted: str | None) -> None:
    settings = load_settings(**places)
    assert settings.archive == wanted and not settings.embedded
    if wanted is None:
        assert open_archive(settings) is None, "no local file is used unless the settings name it"


@pytest.mark.parametrize(("places", "wanted"), EMBEDDED, ids=str)
def test_the_archive_of_the_embedded_server(
    load_settings: Load, tmp_path: Path, places: dict[str, Any], wanted: str | None
) -> None:
    places = {**places, "options": {**places.get("options", {}), "embedded_dir": str(tmp_path / "embedded")}}
    settings = load_settings(**places)
    assert settings.embedded and settings.archive == wanted
    archive = open_archive(settings)
    assert archive is not None
    if wanted is None:
        assert archive.where.startswith("sqlite:///") and "embedded" in archive.where
    assert not (tmp_path / "embedded").exists(), "opening creates no folder"


@pytest.mark.parametrize(
    "places",
    [
        {"options": {"redis_url": "redis://h"}, "environ": {"AWI_EMBEDDED": "1", "MONGODB_URI": MONGO}},
        {"options": {"embedded": False}, "environ": {"AWI_EMBEDDED": "1", "MONGODB_URI": MONGO}},
        {"environ": {"REDIS_HOST": "h", "MONGODB_URI": MONGO}, "dotenv": "AWI_EMBEDDED=1"},
    ],
    ids=str,
)
def test_the_archive_of_the_embedded_server_is_only_used_with_it(load_settings: Load, places: dict[str, Any]) -> None:
    settings = load_settings(**places)
    assert not settings.embedded and settings.archive == MONGO


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///a/b.db", "{cwd}/a/b.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite:///a%20b%3F%23.db", "{cwd}/a b?#.db"),
        ("sqlite:////a/ü.db", "/a/ü.db"),
    ],
)
def test_paths_of_sqlite_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    archive = open_archive(Settings(archive_url=url))
    assert archive is not None and archive.where == f"sqlite:///{path.format(cwd=tmp_path)}"
    assert not list(tmp_path.iterdir())


# -- invalid URLs

INVALID_URLS = [
    "h", "h/db", "/tmp/archive.db", "archive.db", "http://h/db", "redis://h", "mongo://h", "MONGODB://h/db", "mongodb:",
    "mongodb:/h", "://", "sqlite:", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://host/file", "sqlite:file",
    " mongodb://h/db", "mongodb+foo://h",
]  # fmt: skip


@pytest.mark.parametrize("url", INVALID_URLS)
@pytest.mark.parametrize("name", ["mongodb_uri", "archive_url"])
def test_invalid_archive_urls(load_settings: Load, name: str, url: str) -> None:
    env = {"mongodb_uri": "MONGODB_URI", "archive_url": "AWI_ARCHIVE_URL"}[name]
    for places in ({"options": {name: url}}, {"environ": {env: url}}, profile(f'{name} = "{url}"')):
        with pytest.raises(InvalidInput, match="not an archive"):
            load_settings(**places)


MALFORMED = [
    "mongodb://", "mongodb:///db", "mongodb://h:port/db", "mongodb://h:99999/db", "mongodb://h:0/db", "mongodb://h:-1",
    "mongodb://[::1", "mongodb://us:hunter2%zz@h/db", "mongodb://us:hunter2@h@x/db", "mongodb://us:hunter2/x@h/db",
    "mongodb://us:hunter2@h:99999/db", "mongodb://us:hunter2:x@h/db", "mongodb://us:hunter2@h,,i/db",
    "mongodb://us:hunter2@h/a b", "mongodb://us:hunter2@h/$x", "mongodb://us:hunter2@h/%00",
    "mongodb+srv://us:hunter2@a.b.c:1/db", "mongodb://us:hunter2@h/db?tls=true&tlsCAFile=/nope/hunter2",
    "mongodb://us:hunter2@h/db?authMechanism=MONGODB-X509&directConnection=true&replicaSet=a&loadBalanced=true",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("url", MALFORMED)
def test_errors_about_malformed_urls_contain_no_secrets(url: str) -> None:
    with pytest.raises(InvalidInput, match="MONGODB_URI") as raised:
        open_archive(Settings(mongodb_uri=url))
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("parameter", ["maxPoolSize=x", "w=-1", "foo=bar", "readPreference=x", "compressors=x"])
def test_invalid_parameters_cause_no_warnings(parameter: str) -> None:
    """They may be ignored or rejected, but must not print a warning of pymongo with every command."""
    with suppress(InvalidInput):
        open_archive(Settings(mongodb_uri=f"mongodb://h/db?{parameter}"))  # a warning is an error in these tests


# -- secrets

SECRET = "hunter2"
SECRET_URLS = [
    f"mongodb://us:{SECRET}@h/db",
    f"mongodb://:{SECRET}@h/db",
    f"mongodb://us:{SECRET}%40@h:1,i:2/db?replicaSet=a",
    f"mongodb://us:{SECRET}@x@h/db",
    f"mongodb://us:a/{SECRET}@h/db",
    f"mongodb://us:a?{SECRET}@h/db",
    f"mongodb://us:a#{SECRET}@h/db",
    f"mongodb+srv://us:{SECRET}@a.b.c/db",
]
#: URLs with the secret in a parameter.
SECRET_PARAMETERS = [
    f"mongodb://h/db?tls=true&tlsCertificateKeyFilePassword={SECRET}",
    f"mongodb://h/db?tlsCertificateKeyFilePassword=a@{SECRET}",
    f"mongodb://us@h/db?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}",
    f"mongodb://us@h/db?authMechanismProperties=AWS_SESSION_TOKEN:x@{SECRET}",
]
HOSTS = ["h", "h:27017", "a.b.c", "h:1,i:2", "[::1]:5", "127.0.0.1"]


@pytest.mark.parametrize("url", SECRET_URLS + SECRET_PARAMETERS)
def test_secrets_are_never_shown(load_settings: Load, url: str) -> None:
    for env in ("MONGODB_URI", "AWI_ARCHIVE_URL"):
        settings = load_settings(environ={env: url})
        assert settings.archive == url
        for shown in (repr(settings), str(settings), str(settings.rows()), f"{settings}", without_credentials(url)):
            assert SECRET not in shown
    assert SECRET not in repr(Settings(mongodb_uri=url, archive_url=url))


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize(
    ("name", "option", "env"), [("mongodb_uri", "--mongo", "MONGODB_URI"), ("archive_url", "--archive", "AWI_ARCHIVE")]
)
def test_passwords_are_rejected_on_the_command_line(
    load_settings: Load, name: str, option: str, env: str, url: str
) -> None:
    with pytest.raises(InvalidInput, match="command line") as raised:
        load_settings({name: url})
    assert option in str(raised.value) and env in str(raised.value)
    printed = "".join(traceback.format_exception(raised.value, chain=True))
    assert SECRET not in printed.replace(repr(url), "")


@pytest.mark.parametrize("url", SECRET_PARAMETERS)
def test_secret_parameters_are_rejected_on_the_command_line(load_settings: Load, url: str) -> None:
    with pytest.raises(InvalidInput, match="command line"):
        load_settings({"mongodb_uri": url})


@pytest.mark.parametrize(
    "url", ["mongodb://us@h/db", "mongodb://us:@h/db", "mongodb://h/db?a=b:c", "sqlite:///a:b@c.db"]
)
def test_urls_without_a_password_are_accepted_on_the_command_line(load_settings: Load, url: str) -> None:
    assert load_settings({"archive_url": url}).archive == url


@pytest.mark.parametrize("url", [f"mongodb:/us:{SECRET}@h/db", f"us:{SECRET}@h/db", f"mongo://us:{SECRET}@h"])
def test_errors_about_invalid_urls_contain_no_secrets(load_settings: Load, url: str) -> None:
    for places in ({"environ": {"MONGODB_URI": url}}, {"options": {"mongodb_uri": url}}):
        with pytest.raises(InvalidInput) as raised:
            load_settings(**places)
        assert SECRET not in str(raised.value)


def test_the_presence_of_credentials_is_shown(load_settings: Load) -> None:
    [(_, shown, source)] = [
        row for row in load_settings(environ={"MONGODB_URI": "mongodb://u:p@h/db"}).rows() if row[0] == "MONGODB_URI"
    ]
    assert (shown, source) == ("mongodb://********@h/db", "environment")
    [(_, shown, _)] = [row for row in load_settings(environ={"MONGODB_URI": MONGO}).rows() if row[0] == "MONGODB_URI"]
    assert shown == MONGO


parts = st.text(st.characters(codec="utf-8", exclude_characters="@"), max_size=8)


@given(st.sampled_from(["mongodb", "mongodb+srv"]), parts, parts, st.sampled_from(HOSTS), st.sampled_from(["", "/db"]))
@example("mongodb", "a/b?c#d", "://", "h", "/db")
@example("mongodb", "", "?", "h", "")
def test_only_hosts_and_database_remain_without_credentials(
    scheme: str, user: str, password: str, host: str, database: str
) -> None:
    url = f"{scheme}://{user}:{password}@{host}{database}"
    assert without_credentials(url) == f"{scheme}://{host}{database}"
    assert without_credentials(url + "?authSource=admin&x=y") == f"{scheme}://{host}{database}"
    assert user_info(url) == f"{user}:{password}"
    assert check_archive_url(url, "x") == url


@given(st.text(max_size=30))
@example("")
@example("://")
@example("@")
@example("mongodb://@")
@example("mongodb://@@?@")
def test_url_functions_accept_any_text(text: str) -> None:
    without_credentials(text)
    user_info(text)
    try:
        check_archive_url(text, "x")
    except InvalidInput:
        return
    assert text.startswith(("mongodb://", "mongodb+srv://", "sqlite:///"))
