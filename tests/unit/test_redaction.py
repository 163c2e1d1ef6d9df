"""Redaction: what is found, in which encodings, and that what is left is still the history of one session."""

from __future__ import annotations

import copy
import json
import random
import string
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import SESSIONS, load, nested
from planted_secrets import ENCODED, Planter, all_strings, decoded_texts

from awictl.document.merge import merge
from awictl.document.redaction.patterns import PATTERN_NAMES
from awictl.document.redaction.redact import Redactor
from awictl.document.redaction.rules import parse_redaction
from awictl.errors import InvalidInput

NOW = "2026-11-23T07:09:41.403Z"


def redacted(*heads: Any, wanted: list[str] | None = None) -> tuple[list[Any], dict[str, Any]]:
    """The heads of sessions, redacted together, and the summary."""
    redactor = Redactor(parse_redaction(["default"] if wanted is None else wanted))
    for one in copy.deepcopy(heads):
        redactor.state(one, 0)
    redactor.learned()
    found = copy.deepcopy(heads)
    for one in found:
        redactor.state(one, 0)
    return list(found), redactor.summary()


def text(value: Any, *wanted: str) -> Any:
    """A value of the state, redacted."""
    return redacted({"page_state": value}, wanted=list(wanted) or None)[0][0]["page_state"]


# -- what is found

TOKEN = "aZ3_9kQx7Lm2Pq8R"
FOUND = [
    ("email", "write to bob.smith+x@mail.example.org, please", "write to <email-1>, please"),
    ("email", "Bob <bob@example.org>", "Bob <<email-1>>"),
    ("email", "jürgen@büro.example", "<email-1>"),
    ("bearer", f"Authorization: Bearer {TOKEN}", "Authorization: Bearer <bearer-1>"),
    ("bearer", f"bearer {TOKEN}==", "bearer <bearer-1>"),
    ("bearer", "Authorization: Bearer correcthorse", "Authorization: Bearer <bearer-1>"),
    ("basic", "Basic Ym9iOnNlY3JldA==", "Basic <basic-1>"),
    ("jwt", "t=eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln-_", "t=<jwt-1>"),
    ("api-key", f"key sk-{TOKEN}{TOKEN}.", "key <api-key-1>."),
    ("api-key", "AKIAIOSFODNN7EXAMPLE", "<api-key-1>"),
    ("api-key", "ghp_" + "a1" * 18, "<api-key-1>"),
    ("awi-key", "agent_" + "0aF3" * 8, "<awi-key-1>"),
    ("card", "pay 4111 1111 1111 1111 12/27", "pay <card-1> 12/27"),
    ("card", "5500-0000-0000-0004", "<card-1>"),
    ("card", "no. 340000000000009!", "no. <card-1>!"),
    ("card", "card_4111111111111111x", "card_<card-1>x"),
    ("private-key", "-----BEGIN RSA PRIVATE KEY-----\nMIIa\n-----END RSA PRIVATE KEY-----\n", "<private-key-1>\n"),
    ("secret", "https://x.example/?a=1&api_key=hunter22&b=2", "https://x.example/?a=1&api_key=<secret-1>&b=2"),
    ("secret", "redis://user:hunter22@host/0", "redis://user:<secret-1>@host/0"),
    ("secret", "a\nX-Api-Key: abc def\r\nb", "a\nX-Api-Key: <secret-1>\r\nb"),
    ("secret", "Cookie: a=b; c=d", "Cookie: <secret-1>"),
    ("secret", "(token='hunter22')", "(token='<secret-1>')"),
    ("secret", '{"password":"a b c d"}', '{"password":"<secret-1>"}'),
]


@pytest.mark.parametrize(("kind", "before", "after"), FOUND)
def test_a_pattern_finds_its_kind_by_name_and_by_default(kind: str, before: str, after: str) -> None:
    assert text({"note": before}, kind) == {"note": after}
    assert text({"note": before}) == {"note": after}


@pytest.mark.parametrize(
    "harmless",
    [
        "a@b", "@handle", "the bearer of this letter", "a bearer authentication", "Basic usage of this",
        "4111111111111112", "1764200000000", "0.4111111111111111", "sess_" + "0aF3" * 8, "agent_x", "sk-short",
        NOW, "task-force-and-more",
        "2026-11-23", "token", "next page", "page_token=2", "/posts/4111", "eyJ.a.b", "<email-1>",
        "deadbeef4111111111111111",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(harmless: str) -> None:
    assert text({"note": harmless, "page_token": harmless}) == {"note": harmless, "page_token": harmless}


def test_numbers_and_fields_with_the_name_of_a_secret() -> None:
    value = {
        "pan": 4111111111111111,
        "float": 4111111111111111.0,
        "n": 17,
        "Api-Key": "short",
        "token": {"a": ["x y", 5]},
    }
    assert text(value) == {
        "pan": "<card-1>",
        "float": "<card-1>",
        "n": 17,
        "Api-Key": "<secret-1>",
        "token": {"a": ["<secret-2>", "<secret-3>"]},
    }


@pytest.mark.parametrize("encode", ENCODED)
def test_a_secret_is_found_in_every_encoding_and_the_rest_stays(encode: Callable[[str], str]) -> None:
    before = encode("bob@example.org")
    after = text({"a": f"see {before} there"})["a"]
    assert after.startswith("see ") and after.endswith(" there")
    assert before not in after
    decoded = after
    assert "email-1" in decoded or any("<email-1>" in one for one in decoded_texts(after))


# -- one value, one placeholder, everywhere


def test_a_value_has_one_placeholder_in_all_sessions_of_a_file() -> None:
    first = {"session_id": "sess_1", "agent_name": "bob@example.org", "page_state": {"a": "ann@example.org"}}
    second = {"session_id": "sess_2", "page_state": {"bob@example.org": f"Bearer {TOKEN}", "x": f"got {TOKEN}!"}}
    found, summary = redacted(first, second)
    assert found[0] == {"session_id": "sess_1", "agent_name": "<email-1>", "page_state": {"a": "<email-2>"}}
    assert found[1]["page_state"] == {"<email-1>": "Bearer <bearer-1>", "x": "got <bearer-1>!"}
    assert summary == {"bearer": {"values": 1, "places": 2}, "email": {"values": 2, "places": 3}}


def test_placeholders_that_are_there_already_are_not_used_again() -> None:
    assert text({"a": "<email-7>", "b": "bob@example.org"}) == {"a": "<email-7>", "b": "<email-8>"}


def test_different_keys_stay_different() -> None:
    same = {"bob@x.org": 1, "b%6fb@x.org": 2, "bo%62@x.org": 3}
    found = text(same)
    assert list(found.values()) == [1, 2, 3]
    assert "bob" not in "".join(found) and "%6f" not in "".join(found)


def test_a_pointer_hides_a_value_and_wherever_it_occurs_too() -> None:
    state = {
        "session_id": "sess_1",
        "agent_id": "a1",
        "agent_name": "shoes",
        "page_state": {"filters": {"q": "red shoes", "n": 123456, "empty": "", "no": None, "on": True}, "other": True},
        "history": {"last_action": {"t": 4, "action": "search", "input": {"text": "RED red shoes!", "n": 123456}}},
        "url": "/posts?q=red+shoes&n=123456&m=1234567",
        "red shoes": [{"q": "kept"}],
    }
    (found,), summary = redacted(state, wanted=["/page_state/filters/*", "/none"])
    assert found["page_state"] == {
        "filters": {"q": "<value-1>", "n": "<value-2>", "empty": "", "no": None, "on": "<value-3>"},
        "other": True,
    }
    assert found["history"]["last_action"]["input"] == {"text": "RED <value-1>!", "n": "<value-2>"}
    assert found["url"] == "/posts?q=%3Cvalue-1%3E&n=<value-2>&m=1234567" or found["url"].startswith(
        "/posts?q=<value-1>"
    )
    assert "<value-1>" in found and found["agent_name"] == "shoes"
    assert summary["value"]["values"] == 3


def test_pointers_into_actions_and_escaped_keys() -> None:
    redactor = Redactor(parse_redaction(["/history/actions/*/input/secret word", "/a~1b/0/~0"]))
    record = {"t": 3, "action": "x", "input": {"secret word": "open"}, "delta": {"a/b": [{"~": "sesame!!"}]}}
    for _ in range(2):
        changed = redactor.action(copy.deepcopy(record), 3)
        redactor.learned()
    assert changed == {
        "t": 3,
        "action": "x",
        "input": {"secret word": "<value-1>"},
        "delta": {"a/b": [{"~": "<value-2>"}]},
    }


def test_ids_stay_unless_a_pointer_names_them() -> None:
    state = {
        "session_id": "sess_a1b2",
        "agent_id": "bob@x.org",
        "page_state": {"at": "/s/sess_a1b2", "by": "bob@x.org"},
    }
    (found,), _ = redacted(state)
    assert found == state | {"page_state": {"at": "/s/sess_a1b2", "by": "<email-1>"}}
    (found,), _ = redacted(state, wanted=["/session_id", "/agent_id"])
    assert found == {
        "session_id": "sess_redacted_1",
        "agent_id": "<agent-1>",
        "page_state": {"at": "/s/sess_redacted_1", "by": "<agent-1>"},
    }


@pytest.mark.parametrize("wrong", ["emails", "", "page_state", "/a~2b", "/" + "a" * 2000])
def test_what_is_neither_a_pattern_nor_a_pointer_is_an_error(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=r"pattern|pointer"):
        parse_redaction([wrong])


def test_default_means_all_patterns() -> None:
    assert parse_redaction(["card", "default", "/a"]).row() == {"patterns": list(PATTERN_NAMES), "pointers": ["/a"]}


# -- what is left is the history of one session

texts = st.sampled_from(
    [
        "a",
        "bob@x.org",
        "b%6fb@x.org",
        "see bob@x.org",
        TOKEN,
        f"Bearer {TOKEN}",
        "q",
        "\ud800 ann@y.org",
        "%F0 é",
        "password",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.sampled_from([7, 4111111111111111, 1.5]) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
states = st.dictionaries(st.sampled_from(["page_state", "bob@x.org", "q"]), values, max_size=3)


@given(states, st.lists(states, max_size=3))
def test_redacting_and_merging_commute(state: dict[str, Any], deltas: list[dict[str, Any]]) -> None:
    merged = state
    for delta in deltas:
        merged = merge(merged, delta)
    redactor = Redactor(parse_redaction(["default", "/page_state/q", "/page_state/*/a", "/q/0"]))
    for _ in range(2):
        first, last = copy.deepcopy(state), copy.deepcopy(merged)
        redactor.state(first, 0)
        actions = [redactor.action({"t": t, "delta": copy.deepcopy(one)}, t) for t, one in enumerate(deltas)]
        redactor.state(last, 0)
        redactor.learned()
    for action in actions:
        first = merge(first, action["delta"])
    assert first == last and json.dumps(first) == json.dumps(last)


@pytest.mark.parametrize("name", SESSIONS)
def test_nothing_in_the_sessions_of_the_app_is_taken_for_a_secret(name: str) -> None:
    document = load(name)
    (found,), summary = redacted(document)
    assert (found, summary) == (document, {})


def test_any_nesting() -> None:
    deep: Any = nested(5000, "bob@x.org")
    redactor = Redactor(parse_redaction(["default", "/x"]))
    redactor.learned()
    found = redactor.action({"t": 0, "delta": {"x": deep}}, 0)["delta"]["x"]
    for _ in range(5000):
        (found,) = found
    assert found == "<value-1>"


@pytest.mark.soak
@pytest.mark.parametrize(
    "hostile",
    ["a" * 200_000, "a." * 100_000, "a@" * 100_000, "4 " * 20_000, "1-" * 20_000, "Bearer " * 30_000, "%41" * 70_000,
     "\\u0061" * 30_000, "&#97;" * 40_000, "eyJ" * 70_000, "-----BEGIN PRIVATE KEY-----" * 8_000, '"token":"' * 20_000,
     "sk-" * 20_000, "://a:" * 40_000, "token=" * 10_000, "\ntoken:" * 20_000,
     "Cookie:" + " " * 100_000, "YWJj" * 50_000, "%25" * 60_000],
)  # fmt: skip
def test_hostile_texts_take_linear_time(hostile: str) -> None:
    started = time.process_time()
    text({"a": hostile})
    assert time.process_time() - started < 60  # quadratic time would be hours


# -- no occurrence of a secret is left


def check_plants(seed: int, count: int) -> None:
    planter = Planter(seed)
    head, actions = planter.session(count)
    redactor = Redactor(parse_redaction(["default"]))
    for _ in range(2):
        copied = copy.deepcopy((head, actions))
        redactor.state(copied[0], len(actions) - 1)
        found = [redactor.action(one, one["t"]) for one in copied[1]]
        redactor.learned()
    assert planter.left_in([copied[0], found]) == []
    state: Any = {}
    for record in found:
        state = merge(state, record.get("delta", {}))
    assert state.get("page_state", {}) == copied[0]["page_state"]


@pytest.mark.parametrize("seed", range(2))
def test_no_planted_secret_is_left(seed: int) -> None:
    check_plants(seed, 100)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_none_of_10_000_planted_secrets_is_left(seed: int) -> None:
    check_plants(seed, 1000)


def check_pointed(seeds: range) -> None:
    """Values at a pointer, of many characters, planted in other places in all encodings."""
    encodings = [one for one in ENCODED if "\\u" not in one("é")] + [lambda one: one]
    for seed in seeds:
        chance = random.Random(seed)
        alphabet = chance.choice([string.ascii_letters, "aö ü1", string.printable, "aé🙂\"\\/%+&<>=?' "])
        value = "Z" + "".join(chance.choices(alphabet, k=chance.randrange(8, 20))) + "Q"
        encoded = chance.choice(encodings)(value)
        planted = f"{chance.choice(['', 'see: '])}{encoded}{chance.choice(['', ' ok'])}"
        head = {"session_id": "sess_1", "page_state": {"q": value}, "x": [planted], planted: 1}
        (found,), _ = redacted(head, wanted=["/page_state/q"])
        strings = list(all_strings(found))
        everything = "\n".join([*strings, *(inner for one in strings for inner in decoded_texts(one))])
        assert value not in everything and encoded not in everything, (value, planted)


def test_a_value_at_a_pointer_is_left_in_no_encoding() -> None:
    check_pointed(range(150))


@pytest.mark.soak
def test_none_of_many_values_at_a_pointer_is_left() -> None:
    check_pointed(range(1_000, 11_000))
