"""Counting tokens: the vocabulary is checked, pages have the contents of the state, and ratios are right."""

from __future__ import annotations

import codecs
import html
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from awictl.diagnostics.bench.example_session import ExampleSite, ExampleStep, example_steps
from awictl.diagnostics.bench.html_files import MAX_PAGE_BYTES, decode_page, find_pages, read_page
from awictl.diagnostics.bench.html_page import PageKind, render_page
from awictl.diagnostics.bench.tokens import (
    Sizes,
    TokenComparison,
    compare_session,
    compare_steps,
    diff_texts,
    head_text,
    state_text,
)
from awictl.diagnostics.bench.vocabulary import KNOWN_IDS, PIECE, TokenCounter, Vocabulary, pieces
from awictl.document.json_codec import loads
from awictl.errors import AwiError, InvalidInput, NotFound

KINDS = list(PageKind)


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter()


@pytest.fixture(scope="module")
def steps() -> list[ExampleStep]:
    return list(example_steps(ExampleSite()))


# -- the vocabulary


@pytest.mark.parametrize("vocabulary", list(Vocabulary))
def test_each_vocabulary_has_known_ids(vocabulary: Vocabulary) -> None:
    counter = TokenCounter(vocabulary)
    assert [counter.count(text) for text in KNOWN_IDS[vocabulary]] == [*map(len, KNOWN_IDS[vocabulary].values())]


def test_a_wrong_vocabulary_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import splintr

    class Other:
        """Loads the wrong vocabulary, whatever name is given."""

        from_pretrained = staticmethod(lambda name: splintr.Tokenizer.from_pretrained("cl100k_base"))

    monkeypatch.setitem(sys.modules, "splintr", SimpleNamespace(Tokenizer=Other, __version__="9.9"))
    with pytest.raises(AwiError, match=r"o200k_base of splintr-rs 9\.9 encodes .* nothing was counted"):
        TokenCounter()


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splintr", None)
    with pytest.raises(InvalidInput, match=r"splintr-rs; install it with `pip install 'awictl\[bench\]'`"):
        TokenCounter()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello world", 2),
        ("<|endoftext|>", 7),  # text on a page, not the special token
        (b"hello world", 2),
        ("\ud800", 1),  # three bytes that are not UTF-8
        (b"\xff hello", 2),
    ],
)
def test_any_text_has_tokens(counter: TokenCounter, text: str | bytes, tokens: int) -> None:
    assert counter.count(text) == tokens


@pytest.mark.parametrize("vocabulary", list(Vocabulary))
def test_long_texts_are_counted_in_pieces(vocabulary: Vocabulary, steps: list[ExampleStep]) -> None:
    """The library holds the GIL while it encodes a text: Ctrl-C has to wait for no more than a piece."""
    import splintr

    page = render_page(steps[0].document["page_state"], PageKind.HEAVY) * 3
    divided = [*pieces(page)]
    assert "".join(divided) == page and len(divided) > 4 and max(map(len, divided)) <= PIECE
    whole = splintr.Tokenizer.from_pretrained(vocabulary.value).encode_ordinary(page)
    assert TokenCounter(vocabulary).count(page) == len(whole)


@pytest.mark.parametrize("character", [" ", "a", "\n", "<", "漢", "\N{SLIGHTLY SMILING FACE}"])
def test_text_without_words_is_cut_anywhere(character: str) -> None:
    text = character * (PIECE * 2 + 1)
    assert [len(piece) for piece in pieces(text)] == [PIECE, PIECE, 1]


# -- the example and its pages


def strings(value: Any) -> list[str]:
    """All strings in a value, at any depth."""
    if isinstance(value, dict):
        return [found for one in value.values() for found in strings(one)]
    if isinstance(value, list):
        return [found for one in value for found in strings(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_all_that_the_state_describes(steps: list[ExampleStep], kind: PageKind) -> None:
    assert len(steps) == 12
    for step in steps:
        page = render_page(step.document["page_state"], kind)
        shown = {name: step.document["page_state"][name] for name in ("visible_items", "metadata", "filters")}
        texts = strings([shown, step.document["page_state"].get("post")])
        assert texts and not [text for text in texts if html.escape(text) not in page]


def test_the_example_is_what_an_updater_would_store(steps: list[ExampleStep]) -> None:
    last = steps[-1].document
    assert [diff for diff, _ in diff_texts(last)] == [step.diff for step in steps]
    assert [loads(delta) for _, delta in diff_texts(last)] == [step.delta for step in steps]
    assert last["statistics"]["total_actions"] == len(steps) and last["statistics"]["failed_actions"] == 1
    assert [action["t"] for action in last["history"]["actions"]] == [*range(len(steps) + 1)]
    assert "actions" not in loads(head_text(last))["history"] and loads(state_text(last)) == last


def test_the_example_is_the_same_in_every_run(counter: TokenCounter, steps: list[ExampleStep]) -> None:
    tokens = [counter.count(step.diff) for step in steps]
    assert tokens == [counter.count(step.diff) for step in example_steps(ExampleSite())]
    assert (min(tokens), max(tokens)) == (89, 2424)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hostile", ["</script><script>alert(1)</script>", "\"'><img src=x onerror=1>", "\x1b[31m\0"])
def test_stored_text_is_escaped_in_pages(kind: PageKind, hostile: str) -> None:
    item = {"id": hostile, "title": hostile, "tags": [hostile], "excerpt": hostile, hostile: hostile}
    state = {"route": hostile, "metadata": {"title": hostile, "breadcrumbs": [hostile]}, "visible_items": [item]}
    page = render_page(state | {"filters": {hostile: hostile}, "sort": {"key": hostile}}, kind)
    assert "<script>alert" not in page and "<img" not in page


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        "text",
        {"visible_items": ["plain", 1, None, [2]], "pagination": {"cursor": "x", "total_pages": 1e9}, "sort": 3},
        {"visible_items": {"a": 1}, "metadata": [], "filters": [1], "route": None, "post": "p"},
        {"visible_items": [{"id": 2**70, "title": {"de": "Titel"}, "tags": "one", "author": ["a"]}]},
        {"pagination": {"cursor": 1, "total_pages": 10**18}},
    ],
)
def test_a_state_of_any_type_is_rendered(kind: PageKind, state: Any) -> None:
    assert render_page(state, kind).rstrip().endswith("</html>")


# -- comparisons


def respond(document: Mapping[str, Any]) -> bytes:
    return b"response"


def sizes(*tokens: int) -> Sizes:
    return Sizes([*tokens], [4 * one for one in tokens])


def test_by_step_each_page_is_compared_with_its_own_part() -> None:
    found = TokenComparison({"lean": sizes(1_000, 50_000)}, {"diff": sizes(100, 5)}, by_step=True).row()
    assert found["ratios"] == [
        {"page": "lean", "part": "diff", "min": 10.0, "median": 5005.0, "max": 10_000.0, "pairs": 2}
        | {"at_least_500": 1, "at_least_10000": 1}
    ]
    assert found["pages"]["lean"]["tokens"] == {"min": 1_000, "median": 25_500, "max": 50_000}
    assert found["pages"]["lean"]["bytes"] == {"min": 4_000, "median": 102_000, "max": 200_000}


def test_otherwise_every_page_is_compared_with_every_part() -> None:
    # 1,000, 100, 5,000 and 500 times
    found = TokenComparison({"html": sizes(1_000, 5_000)}, {"diff": sizes(10, 1)}, by_step=False).row()
    [ratio] = found["ratios"]
    assert (ratio["min"], ratio["max"], ratio["pairs"]) == (100.0, 5_000.0, 4)
    assert (ratio["at_least_500"], ratio["at_least_10000"]) == (3, 0)


def test_a_session_is_compared_with_its_own_page(steps: list[ExampleStep]) -> None:
    document = steps[-1].document
    whole = compare_session(document, None, len, respond)
    assert whole.pages.keys() == {"lean", "heavy"} and len(whole.parts["diff"].tokens) == len(steps)
    assert whole.parts["state"].tokens == [len(state_text(document))] and whole.parts["api_state"].tokens == [8]
    assert whole.pages["lean"].tokens == compare_steps(steps, len, respond).pages["lean"].tokens[-1:]
    assert compare_session(document, sizes(7), len, respond).pages == {"html": sizes(7)}


@pytest.mark.parametrize("history", [None, {}, {"actions": None}, {"actions": ["x", None]}, {"actions": []}])
def test_a_session_with_any_history_is_counted(history: Any) -> None:
    found = compare_session({"history": history}, None, len, respond).row()
    assert found["parts"]["state"]["count"] == 1 and found["ratios"]


# -- the user's files


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<p>ä".encode(), "<p>ä"),
        (codecs.BOM_UTF8 + "ä".encode(), "ä"),
        (codecs.BOM_UTF16_LE + "ä".encode("utf-16-le"), "ä"),
        (codecs.BOM_UTF16_BE + "ä".encode("utf-16-be"), "ä"),
        (b'<meta charset="iso-8859-1"><p>\xe4\x80', '<meta charset="iso-8859-1"><p>ä€'),
        (b"<META content='text/html; charset=Shift_JIS'>\x93\xfa", "<META content='text/html; charset=Shift_JIS'>日"),
        (b"<meta charset=utf-8>\xff<", "<meta charset=utf-8>\N{REPLACEMENT CHARACTER}<"),
        (b"<meta charset=idna>ab", "<meta charset=idna>ab"),
        (b"<meta charset=no-such-one>ab", "<meta charset=no-such-one>ab"),
        (b"", ""),
    ],
)
def test_a_page_is_decoded_as_a_browser_does(raw: bytes, text: str) -> None:
    assert decode_page(raw) == text


def test_files_that_are_no_pages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image.html").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with (tmp_path / "huge.html").open("wb") as huge:
        huge.truncate(MAX_PAGE_BYTES + 1)
    os.mkfifo(tmp_path / "pipe.html")
    for name, reason in (
        ("image.html", "not text"),
        ("huge.html", "larger than"),
        ("pipe.html", "not a regular file"),
        ("none.html", "not a regular file"),
    ):
        with pytest.raises(InvalidInput, match=rf"{name}.*{reason}"):
            read_page(tmp_path / name)


def test_a_folder_is_searched_for_pages(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="contains no HTML file"):
        find_pages(tmp_path)
    (tmp_path / "b.HTM").write_text("")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.html").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "below" / "loop").symlink_to(tmp_path)
    assert find_pages(tmp_path) == [tmp_path / "b.HTM", tmp_path / "below" / "a.html"]
    assert find_pages(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    with pytest.raises(NotFound, match="does not exist"):
        find_pages(tmp_path / "none")
