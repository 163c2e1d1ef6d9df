"""The tokens of real pages, and of rendered pages against the session state that describes them.

    uv run python benchmarks/tokens.py [--vocabulary cl100k_base] [--keep DIR | --pages DIR]

The real pages are those of the npm package `htmlparser-benchmark`, articles of news sites from 2013, which npm fetches
into a temporary folder (or with `--keep` into one that stays, for `awictl bench tokens --html`). They only show how
large pages are: what no session describes has no ratio. The ratios are those of `awictl bench tokens`, for sites with
other sizes of page and lengths of text, step by step: the page after a step against the state after that step, and
against the diff of that step.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import subprocess
import tarfile
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

from awictl.cli.bench.tokens import api_state
from awictl.diagnostics.bench.example_session import ExampleSite, ExampleStep, example_steps
from awictl.diagnostics.bench.html_files import find_pages, read_page
from awictl.diagnostics.bench.html_page import PageKind, render_page
from awictl.diagnostics.bench.tokens import CLAIM, PARTS, TokenComparison, compare_steps, head_text, state_text
from awictl.diagnostics.bench.vocabulary import TokenCounter, Vocabulary

CORPUS = "htmlparser-benchmark@1.1.3"
CORPUS_SHA256 = "677aa1b5ea0aa8d7b84501151abd51ef1c5e63d7853395ef24756e2f2b3ea2ce"
#: Items on a page of a list, and sentences in the excerpt of each.
PAGE_SIZES = (5, 10, 20, 50)
EXCERPTS = (0, 2, 6)
#: How often the agent repeats the twelve steps, for the size of long sessions.
ROUNDS = (1, 10, 80)
#: Diffs with at most this many tokens are those of steps that change few values, such as a like.
SMALL_DIFF = 250


def fetch_corpus(folder: Path) -> Path:
    """Fetch the real pages with npm into a folder. Returns the folder with the HTML files."""
    print(f"fetching {CORPUS} with npm …", flush=True)
    try:
        subprocess.run(["npm", "pack", "--silent", CORPUS], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise SystemExit("npm is not installed; pass a folder with HTML files of your own (--pages DIR)") from None
    archive = folder / f"{CORPUS.replace('@', '-')}.tgz"
    if hashlib.sha256(archive.read_bytes()).hexdigest() != CORPUS_SHA256:
        raise SystemExit(f"{CORPUS} has another content than the one that was measured")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "package" / "files"


def quantiles(values: Sequence[float]) -> list[float]:
    """Minimum, p10, median, p90 and maximum."""
    ordered = sorted(values)
    return [ordered[round(part * (len(ordered) - 1))] for part in (0, 0.1, 0.5, 0.9, 1)]


def line(what: str, values: Sequence[float], *, digits: int = 0, more: str = "") -> None:
    """Print a distribution."""
    print(f"{what:34}" + "".join(f"{one:>13,.{digits}f}" for one in quantiles(values)) + more)


def heading(what: str) -> None:
    """Print the titles of a table."""
    print(f"\n{what:34}" + "".join(f"{name:>13}" for name in ("min", "p10", "median", "p90", "max")))


def real_pages(folder: Path, counter: TokenCounter) -> list[int]:
    """Print and return the tokens of real pages, sorted."""
    pages = [read_page(path) for path in find_pages(folder)]
    tokens = sorted(counter.count(page.text) for page in pages)
    heading(f"{len(pages)} real pages")
    line("tokens", tokens)
    line("bytes", [page.size for page in pages])
    line("bytes per token", [page.size / counter.count(page.text) for page in pages], digits=2)
    return tokens


def rendered_pages(found: Iterable[TokenComparison], real: Sequence[int]) -> None:
    """Print the tokens of the example's pages and parts, and how many of the real pages have fewer."""
    found = list(found)
    heading("rendered pages and their state")
    for kind in PageKind:
        tokens = [one for each in found for one in each.pages[kind].tokens]
        below = [bisect_left(real, one) / len(real) for one in quantiles(tokens)]
        line(f"page, {kind}", tokens)
        print(f"{'  real pages with fewer tokens':34}" + "".join(f"{one:>13.0%}" for one in below))
    for part in PARTS:
        line(part, [one for each in found for one in each.parts[part].tokens])


def ratios(found: Sequence[TokenComparison], title: str, *, small: bool | None = None) -> None:
    """Print how many times the tokens of each part a page has. `small`: only steps with small or with large diffs."""
    heading(title)
    for kind in PageKind:
        for part in PARTS:
            chosen = [
                page / one
                for each in found
                for page, one, diff in zip(
                    each.pages[kind].tokens, each.parts[part].tokens, each.parts["diff"].tokens, strict=True
                )
                if small is None or small is (diff <= SMALL_DIFF)
            ]
            reached = (f"{sum(one >= bound for one in chosen):>6,}" for bound in CLAIM)
            line(f"{kind} / {part} ({len(chosen)})", chosen, digits=2, more="".join(reached))


def whole_sessions(counter: TokenCounter) -> None:
    """Print what an agent reads in whole sessions: a page per step, or the state once and then a diff per step."""
    titles = ("state", "lean pages", "heavy pages", "head + diffs", "lean /", "heavy /")
    print(f"\n{'steps':>7}" + "".join(f"{title:>14}" for title in titles))
    site = ExampleSite()
    for rounds in ROUNDS:
        pages = dict.fromkeys(PageKind, 0)
        read = number = 0
        step: ExampleStep | None = None
        for number, step in enumerate(example_steps(site, rounds), 1):
            read += counter.count(head_text(step.document) if number == 1 else step.diff)
            for kind in PageKind:
                pages[kind] += counter.count(render_page(step.document["page_state"], kind))
        assert step is not None
        state = counter.count(state_text(step.document))
        lean, heavy = pages[PageKind.LEAN], pages[PageKind.HEAVY]
        print(f"{number:>7,}{state:>14,}{lean:>14,}{heavy:>14,}{read:>14,}{lean / read:>14.1f}{heavy / read:>14.1f}")


def main() -> None:
    """Fetch the real pages unless there is a folder of them, and measure."""
    parser = argparse.ArgumentParser()
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--pages", type=Path, help="folder with real pages, instead of those of npm")
    source.add_argument("--keep", type=Path, help="folder into which the pages of npm are fetched, and stay")
    parser.add_argument("--vocabulary", type=Vocabulary, choices=list(Vocabulary), default=Vocabulary.O200K_BASE)
    options = parser.parse_args()
    counter = TokenCounter(options.vocabulary)
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        real = real_pages(options.pages or fetch_corpus(folder), counter)
    found = [
        compare_steps(example_steps(ExampleSite(page_size=size, excerpt_sentences=excerpt)), counter.count, api_state)
        for size in PAGE_SIZES
        for excerpt in EXCERPTS
    ]
    rendered_pages(found, real)
    bounds = " and ".join(f" at least {bound:,}" for bound in CLAIM)
    print(f"\nthe last two columns: in how many steps the ratio is{bounds}")
    ratios(found, "ratios, all steps")
    ratios(found, f"ratios, diffs above {SMALL_DIFF} tokens", small=False)
    ratios(found, f"ratios, diffs up to {SMALL_DIFF} tokens", small=True)
    heading("a page as large as the claim needs")
    for bound, part in itertools.product(CLAIM, ("diff", "api_state")):
        needed = [bound * one for each in found for one in each.parts[part].tokens]
        line(f"{bound:,} × {part}, in tokens", needed)
        print(
            f"{'  real pages that are so large':34}"
            + "".join(f"{len(real) - bisect_left(real, one):>13,}" for one in quantiles(needed))
        )
    whole_sessions(counter)


if __name__ == "__main__":
    main()
