"""Count the tokens of pages and of the session state that describes them, and compare them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

from ...document.json_codec import dumps
from ...document.schema import SESSION_END, SESSION_START, as_array, as_object
from .example_session import ExampleStep
from .html_page import PageKind, render_page

#: What the original document claims: a full page has that many times the tokens of what AWI sends instead.
CLAIM = (500, 10_000)
#: What is measured of a session, and what each is.
PARTS = {
    "state": "the whole session document",
    "head": "the session document without its trajectory",
    "api_state": "the response of GET …/session/state, which has the number of visible items instead of the items",
    "diff": "the delta and the action of one step, as AWI:DIFF has them",
    "delta": "the delta of one step alone",
}

Count = Callable[[str | bytes], int]
#: Makes the response of GET …/session/state from a document. Passed in, because services do not know the server.
Respond = Callable[[Mapping[str, Any]], bytes]


class Sizes(NamedTuple):
    """The sizes of several texts of one kind."""

    tokens: list[int]
    #: In bytes of UTF-8; of a file, in the bytes of its own encoding.
    lengths: list[int]

    @classmethod
    def of(cls, texts: Iterable[str | bytes], count: Count) -> Sizes:
        """Count the tokens and bytes of texts."""
        sizes = cls([], [])
        for text in texts:
            sizes.add(count(text), len(text) if isinstance(text, bytes) else len(text.encode(errors="surrogatepass")))
        return sizes

    def add(self, tokens: int, size: int) -> None:
        """Add a text."""
        self.tokens.append(tokens)
        self.lengths.append(size)

    def row(self) -> dict[str, Any]:
        """The numbers as JSON."""
        return {
            "count": len(self.tokens),
            "tokens": {"min": min(self.tokens), "median": round(median(self.tokens)), "max": max(self.tokens)},
            "bytes": {"min": min(self.lengths), "median": round(median(self.lengths)), "max": max(self.lengths)},
        }


class TokenComparison(NamedTuple):
    """The tokens of pages and of a session."""

    #: By kind of page: `lean` and `heavy` if rendered, `html` if they are the user's.
    pages: dict[str, Sizes]
    #: By the names of PARTS; empty without a session.
    parts: dict[str, Sizes]
    #: Whether the n-th page of each kind belongs to the n-th of each part. If not, every page is compared with every
    #: part.
    by_step: bool

    def row(self) -> dict[str, Any]:
        """The numbers and ratios as JSON."""
        return {
            "pages": {kind: sizes.row() for kind, sizes in self.pages.items()},
            "parts": {part: sizes.row() for part, sizes in self.parts.items()},
            "ratios": [self._ratio(kind, part) for kind in self.pages for part in self.parts],
            "claim": {"min": CLAIM[0], "max": CLAIM[1]},
        }

    def _ratio(self, kind: str, part: str) -> dict[str, Any]:
        """How many times the tokens of a part a page has, and in how many of the pairs it reaches the claim."""
        pages, parts = self.pages[kind].tokens, self.parts[part].tokens
        row: dict[str, Any] = {"page": kind, "part": part}
        if self.by_step:
            ratios = [page / one for page, one in zip(pages, parts, strict=True)]
            row |= {"min": min(ratios), "median": median(ratios), "max": max(ratios), "pairs": len(ratios)}
            reached = [sum(ratio >= bound for ratio in ratios) for bound in CLAIM]
        else:
            row |= {"min": min(pages) / max(parts), "median": median(pages) / median(parts)}
            row |= {"max": max(pages) / min(parts), "pairs": len(pages) * len(parts)}
            smallest_first = sorted(parts)
            reached = [sum(bisect_right(smallest_first, page / bound) for page in pages) for bound in CLAIM]
        row |= {name: round(row[name], 2) for name in ("min", "median", "max")}
        return row | {f"at_least_{bound}": count for bound, count in zip(CLAIM, reached, strict=True)}


def state_text(document: Mapping[str, Any]) -> bytes:
    """A session document as the API returns it: compact, without the padding of its head in Redis."""
    return dumps(document)


def head_text(document: Mapping[str, Any]) -> bytes:
    """The session document without its trajectory."""
    if not isinstance(history := document.get("history"), dict):
        return dumps(document)
    return dumps({**document, "history": {key: value for key, value in history.items() if key != "actions"}})


def diff_texts(document: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The diff and the delta of each recorded action of a session but its start and its end."""
    actions = map(as_object, as_array(as_object(document.get("history")).get("actions")))
    return [
        (dumps({"delta": action.get("delta"), "action": action}), dumps(action.get("delta")))
        for action in actions
        if action.get("action") not in (SESSION_START, SESSION_END)
    ]


def compare_steps(steps: Iterable[ExampleStep], count: Count, respond: Respond) -> TokenComparison:
    """Compare the pages and the state after each step of the example."""
    found = list(steps)
    pages = {
        kind.value: Sizes.of((render_page(step.document["page_state"], kind) for step in found), count)
        for kind in PageKind
    }
    parts = {
        "state": Sizes.of((state_text(step.document) for step in found), count),
        "head": Sizes.of((head_text(step.document) for step in found), count),
        "api_state": Sizes.of((respond(step.document) for step in found), count),
        "diff": Sizes.of((step.diff for step in found), count),
        "delta": Sizes.of((dumps(step.delta) for step in found), count),
    }
    return TokenComparison(pages, parts, by_step=True)


def compare_session(document: Mapping[str, Any], html: Sizes | None, count: Count, respond: Respond) -> TokenComparison:
    """Compare a session with the pages of the user; without any (None), with pages rendered from its state.

    The diffs are those of its recorded actions.
    """
    if html is not None:
        pages = {"html": html}
    else:
        state = document.get("page_state")
        pages = {kind.value: Sizes.of([render_page(state, kind)], count) for kind in PageKind}
    texts = {"state": state_text(document), "head": head_text(document), "api_state": respond(document)}
    parts = {part: Sizes.of([text], count) for part, text in texts.items()}
    if steps := diff_texts(document):
        parts["diff"] = Sizes.of((diff for diff, _ in steps), count)
        parts["delta"] = Sizes.of((delta for _, delta in steps), count)
    return TokenComparison(pages, parts, by_step=False)
