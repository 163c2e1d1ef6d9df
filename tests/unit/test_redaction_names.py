"""Redaction of secrets that a name beside them tells: in fields, texts, pairs, options; and of keys and pointers."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest

from awictl.document.merge import merge
from awictl.document.redaction.redact import Redactor
from awictl.document.redaction.rules import parse_redaction

SECRET = "s3cr3tPassw0rdXYZ"


def redacted(head: dict[str, Any], *actions: dict[str, Any], wanted: list[str] | None = None) -> tuple[Any, list[Any]]:
    """A session, redacted: its head, and the records of its actions."""
    redactor = Redactor(parse_redaction(wanted or ["default"]))
    for _ in range(2):
        state, records = copy.deepcopy((head, list(actions)))
        redactor.state(state, len(records) - 1)
        records = [redactor.action(one, number) for number, one in enumerate(records)]
        redactor.learned()
    return state, records


def observed(text: Any) -> Any:
    """What is left of an observation; a second redaction changes nothing."""
    _, (record,) = redacted({}, {"t": 0, "observation": text})
    found = record["observation"]
    assert redacted({}, record)[1] == [record]
    return found


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "STRIPE_API_KEY", "userPassword", "currentPassword", "password_confirmation",
     "new_password", "confirmPassword", "password2", "GITHUB_TOKEN", "slackBotToken", "APIKey", "dbpassword",
     "X-Amz-Security-Token", "stripe_webhook_secret", "api key", "Proxy-Authorization", "DB_PASS", "passwordHash"],
)  # fmt: skip
def test_a_field_with_the_name_of_a_secret(name: str) -> None:
    state, _ = redacted({"page_state": {name: "red green"}})
    assert state == {"page_state": {name: "<secret-1>"}}


@pytest.mark.parametrize(
    "name",
    ["page_token", "nextPageToken", "NextToken", "continuation-token", "max_tokens", "tokenCount", "password_strength",
     "key", "primary_key", "keywords", "secretary", "compass", "passenger", "access_key_id", "token_type", "pass",
     "authorization_url", "monkey"],
)  # fmt: skip
def test_a_field_with_another_name_stays(name: str) -> None:
    state = {"page_state": {name: "red green"}}
    assert redacted(state)[0] == state
    assert observed(f"{name}=redgreen, {name}: 'red'") == f"{name}=redgreen, {name}: 'red'"


TEXTS = [
    "{{'api_key': '{}'}}",
    "{{'n': 1, 'password': \"{}\"}}",
    "{{'token': b'{}'}}",
    '{{"password" : "{}"}}',
    '{{"password": "{}',
    "AWS_SECRET_ACCESS_KEY={}",
    "export STRIPE_API_KEY='{}'",
    "x --db-password={} y",
    "x --password {} y",
    "x --api-token '{}'",
    "user[password]={}&a=1",
    "?a=1&newPassword={}",
    "password = {}",
    "logged in with password: {}, then left",
    "{{password: '{}'}}",
    'password => "{}"',
    "curl -H 'X-Api-Key: {}' https://x.example",
    'curl -H "Cookie: {}" https://x.example',
    "curl -u bob:{} https://x.example",
    "curl --user 'bob:{}' https://x.example",
    'curl -s -u "bob:{}" https://x.example',
    '<input type="password" name="pw" value="{}">',
    "<input value='{}' id='user_password'/>",
    '[{{"name": "password", "value": "{}"}}]',
    "[{{'value': '{}', 'name': 'session_token'}}]",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_with_a_name_in_a_text(text: str) -> None:
    assert observed(text.format(SECRET)) == text.format("<secret-1>")


@pytest.mark.parametrize("text", ['{{"password": {}}}', '{{"password": {}, "a": 1}}', "{{'password': {}}}"])
def test_a_quoted_secret_with_odd_characters(text: str) -> None:
    for secret in ["ab<cd>ef", "it's", 'qu"ote\\', "a, b; c", "x"]:
        quoted = json.dumps(secret) if '"' in text else repr(secret)
        start, _, end = text.format("|").partition("|")
        found = observed(text.format(quoted))
        assert found[: len(start)] == start and found[len(start) + 1 :].startswith("<secret-1>"), found
        assert found.endswith(end) or secret.endswith("\\")  # the rest may be a part of the secret, if it is decoded


@pytest.mark.parametrize(
    "text",
    ["Unexpected token: try again", "the password: at least one", "docker run -u 1000:1000 x",
     "curl -u name https://x.example:8080", "<a name='token'>value</a>", "Your token: 2026-11-23", "the key: left",
     "a token, value='5'", "class='pass' value='5'"],
)  # fmt: skip
def test_texts_without_a_secret_stay(text: str) -> None:
    assert observed(text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"fields": [{"name": "password", "value": "red"}]}, {"fields": [{"name": "password", "value": "<secret-1>"}]}),
        ({"field": "password", "value": "hunter"}, {"field": "password", "value": "<secret-1>"}),
        ({"value": {"a": "red"}, "Key": "X-Api-Key"}, {"value": {"a": "<secret-1>"}, "Key": "X-Api-Key"}),
        ({"selector": "#login input[name='password']", "text": "red"}, {"text": "<secret-1>"}),
        ([["X-Api-Key", "abc1"], ["Accept", "abc2"]], [["X-Api-Key", "<secret-1>"], ["Accept", "abc2"]]),
        ({"required": ["password", "email"]}, {"required": ["password", "email"]}),
        ({"name": "Bob", "value": "red"}, {"name": "Bob", "value": "red"}),
    ],
)
@pytest.mark.parametrize("place", ["input", "observation"])
def test_pairs_of_name_and_value_in_actions(place: str, before: Any, after: Any) -> None:
    _, (record,) = redacted({}, {"t": 0, "action": "x", place: before})
    assert record[place] == (before | after if isinstance(after, dict) else after)


def test_pairs_in_a_state_which_deltas_take_apart() -> None:
    first = {"page_state": {"login": {"name": "password", "value": SECRET}, "list": [{"id": "token", "value": "red"}]}}
    deltas: list[dict[str, Any]] = [
        {"page_state": {"login": {"value": "other1Word"}}},
        {"page_state": {"login": {"name": "city", "value": "green"}}},
        {"page_state": {"login": {"value": SECRET}, "list": [{"id": "city", "value": "red"}]}},
    ]
    last: Any = first
    for delta in deltas:
        last = merge(last, delta)
    head, records = redacted(last, {"delta": first}, *({"delta": one} for one in deltas))
    state: Any = {}
    for record in records:
        state = merge(state, record["delta"])
    assert state == head
    assert SECRET not in json.dumps([head, records])
    assert records[0]["delta"]["page_state"]["list"] == [{"id": "token", "value": "<secret-2>"}]
    assert head["page_state"]["list"] == [{"id": "city", "value": "red"}]


def test_a_pointer_hides_the_keys_of_an_object_too() -> None:
    contacts = {"Alice Smith": {"phone": 1234567}, "bob": "x1"}
    head, (record,) = redacted(
        {"contacts": contacts, "bob": "bob", "phone": "phone"},
        {"t": 0, "delta": {"contacts": contacts}, "observation": "called Alice Smith"},
        wanted=["/contacts"],
    )
    assert set(head["contacts"]) == {"<value-1>", "<value-3>"}
    assert "Alice" not in json.dumps([head, record]) and record["delta"]["contacts"] == head["contacts"]
    assert record["observation"] == "called <value-1>"
    assert (head["bob"], head["phone"]) == ("bob", "phone")  # names of fields stay elsewhere


def test_a_pointer_into_a_field_with_the_name_of_a_secret_hides_keys_too() -> None:
    head, _ = redacted({"credentials": {"x": {"Alice Smith": "red"}}}, wanted=["default", "/credentials/x"])
    assert head == {"credentials": {"x": {"<value-2>": "<value-1>"}}}


def test_hidden_keys_stay_different_and_are_hidden_once() -> None:
    contacts = {"a@x.org": 1, "a%40x.org": 2, "A B": 3, "": 4, "filters": 5}
    head, _ = redacted({"contacts": contacts}, wanted=["default", "/contacts"])
    assert len(head["contacts"]) == 5 and {"", "filters"} < set(head["contacts"])
    assert "x.org" not in json.dumps(head)
    assert redacted(head, wanted=["default", "/contacts"])[0] == head


def test_the_pointers_themselves_are_redacted() -> None:
    redactor = Redactor(parse_redaction(["default", "/users/bob@example.com/x", "/a~1b/*/c~0", "/page_state"]))
    for _ in range(2):
        state = {"users": {"bob@example.com": {"x": "red"}}}
        redactor.state(state, 0)
        redactor.learned()
    assert state == {"users": {"<email-1>": {"x": "<value-1>"}}}
    assert redactor.pointers() == ["/users/<email-1>/x", "/a~1b/*/c~0", "/page_state"]


def test_placeholders_that_are_there_already_are_no_values() -> None:
    head, _ = redacted({"a": {"<value-1>": "x1"}, "b": "<value-1> x1"}, wanted=["default", "/a"])
    assert head["a"] == {"<value-1>": "<value-2>"}
    pair = {"name": "password", "value": "<secret-7>", "other": "<secret-7>"}
    assert redacted({"page_state": pair})[0] == {"page_state": pair}


@pytest.mark.soak
@pytest.mark.parametrize(
    "hostile",
    ["token=" * 30_000, "token='" * 30_000, 'token="\\' * 30_000, "token: '" * 30_000, "\ntoken: a" * 20_000,
     "'token: " * 20_000, "--token a" * 20_000, "curl " + "-u a" * 50_000, "-u " + "a:" * 50_000 + "curl",
     "name=token " * 20_000, "name=token value=" * 10_000, "token" + " " * 200_000, "a_" * 100_000 + "token=x",
     "token]'" * 30_000, "token:1" * 30_000, "token:" * 30_000, "token: 1" * 30_000],
)  # fmt: skip
def test_hostile_texts_take_linear_time(hostile: str) -> None:
    started = time.process_time()
    redacted({}, {"t": 0, "observation": hostile})
    assert time.process_time() - started < 60  # quadratic time would be hours
