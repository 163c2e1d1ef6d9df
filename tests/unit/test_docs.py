"""The Markdown pages name only what exists: commands, options, settings, files, and sections of other pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.guides import PAGES, REPOSITORY, blocks

from awictl.cli.reference.tree import Node, tree

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


@pytest.fixture(scope="module")
def root() -> Node:
    return tree()


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def page(request: pytest.FixtureRequest) -> Path:
    chosen: Path = request.param
    return chosen


def test_every_guide_is_in_the_index_and_in_the_readme() -> None:
    for index in (REPOSITORY / "README.md", REPOSITORY / "docs" / "README.md"):
        linked = {(index.parent / link.split("#")[0]).resolve() for link in LINK.findall(index.read_text())}
        assert set(PAGES) - {REPOSITORY / "README.md"} <= linked | {index}


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 200


def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if re.match(r"https?:", link):
            continue
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if section:
            assert section in sections(target), link


def sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_in(text: str, root: Node) -> Iterator[tuple[Node, list[str]]]:
    """Each command that a line of shell or a piece of inline code names, and the options that it gets."""
    for part in re.split(r"[|;&()\n]", text.replace("\\\n", " ")):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # a quote that spans parts
            words = part.split()
        if "awictl" in words:
            words = words[words.index("awictl") + 1 :]
        elif not words or words[0] not in {child.path[-1] for child in root.children}:
            continue
        node = root
        options: list[str] = []
        for word in words:
            child = next((one for one in node.children if one.path[-1] == word), None)
            if child is not None:
                node = child
            elif word.startswith("-") and len(word) > 1:
                options.append(word.split("=")[0])
        yield node, options


def test_every_command_that_a_page_mentions_exists(page: Path, root: Node) -> None:
    everywhere = {name for one in root.options for name in one.names}
    text = page.read_text()
    shell = [block.text for block in blocks(page) if block.language in ("sh", "console")]
    for piece in [*CODE.findall(text), *shell]:
        for node, options in commands_in(piece, root):
            known = everywhere | {name for one in node.options for name in one.names}
            assert set(options) <= known, (piece, node.path)
            words = piece.split()
            if words[0] == "awictl" and len(words) > 1 and re.fullmatch("[a-z]+", words[1]):
                assert words[1] in {child.path[-1] for child in root.children}, piece


def test_commands_that_do_not_exist_are_noticed(root: Node) -> None:
    [(node, options)] = commands_in("awictl session list --sort ttl --no-such-option", root)
    assert node.path == ("awictl", "session", "list") and options == ["--sort", "--no-such-option"]
    assert not {"--no-such-option"} & {name for one in node.options for name in one.names}


def test_every_command_is_in_a_guide(root: Node) -> None:
    everything = "".join(page.read_text() for page in PAGES)
    for node in root.walk():
        if not node.children:
            assert " ".join(node.path[1:]) in everything, node.path


def test_files_that_pages_mention_exist(page: Path) -> None:
    for name in CODE.findall(page.read_text()):
        if re.fullmatch(r"(awictl|tests|benchmarks|docs|\.ci)/[\w/.]+", name):
            assert (REPOSITORY / name).exists(), name


def test_every_benchmark_is_described_with_the_command_that_runs_it() -> None:
    page = (REPOSITORY / "docs" / "performance.md").read_text()
    run = set(re.findall(r"python (benchmarks/\w+\.py)", page))
    helpers = {"benchmarks/load.py"}
    assert run | helpers == {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "benchmarks").glob("*.py")}
