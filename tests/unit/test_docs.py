"""The Markdown pages name only what exists: commands, options, settings, files, and sections of other pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.guides import PAGES, REPOSITORY, blocks, matches, steps

import awictl
from awictl import StateManager, errors
from awictl.cli.framework.error_report import CLOSED_PIPE, INTERRUPTED
from awictl.cli.reference.tree import CommandNode, tree
from awictl.errors import AwiError
from awictl.media.cache import MediaCache

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


@pytest.fixture(scope="module")
def root() -> CommandNode:
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


def commands_in(text: str, root: CommandNode) -> Iterator[tuple[CommandNode, list[str], list[str]]]:
    """Each command that lines of shell or a piece of inline code name, the options that it gets, and other words."""
    for part in re.split(r"[|;&()\n]", text.replace("\\\n", " ")):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # a quote that spans parts
            words = part.split()
        if "awictl" in words:
            words = words[words.index("awictl") + 1 :]
        elif not words or words[0] not in {child.path[-1] for child in root.children}:
            continue
        node, options, others = root, [], []
        rest = iter(words)
        for word in rest:
            child = next((one for one in node.children if one.path[-1] == word), None)
            if child is not None:
                node = child
            elif word.startswith("-") and len(word) > 1:
                name, given, _ = word.partition("=")
                options.append(name)
                if not given and any(one.value for one in (*node.options, *root.options) if name in one.names):
                    next(rest, None)  # the value of the option
            else:
                others.append(word)
        yield node, options, others


def unknown_in(text: str, root: CommandNode) -> list[str]:
    """The commands and options in shell or inline code that do not exist."""
    everywhere = {name for one in root.options for name in one.names}
    unknown = []
    for node, options, others in commands_in(text, root):
        known = everywhere | {name for one in node.options for name in one.names}
        if node.children and others and re.fullmatch("[a-z]+", others[0]):
            unknown.append(" ".join([*node.path, others[0]]))
        else:
            unknown += [name for name in options if name not in known]
    return unknown


def test_every_command_and_option_that_a_page_mentions_exists(page: Path, root: CommandNode) -> None:
    shell = [block.text for block in blocks(page) if block.language == "sh"]
    shell += [step.command for step in steps(page) if step.language == "console"]
    proposed = {block.module.replace(".cli", "").replace(".", " ") for block in blocks(page) if block.module}
    for piece in [*CODE.findall(page.read_text()), *shell]:
        assert set(unknown_in(piece, root)) <= proposed, piece


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("awictl session list --sort ttl --no-such-option | jq .", ["--no-such-option"]),
        ("session lits", ["awictl session lits"]),
        ("awictl --profile production sesion list", ["awictl sesion"]),
        ("x=$(awictl cache kex --filters '{}' -o ids)", ["awictl cache kex"]),
        ("awictl -o ids session list --ttl 3m", ["--ttl"]),
        ("awictl --profile production session list -o ids \\\n  --sort ttl", []),
    ],
)
def test_commands_and_options_that_do_not_exist_are_noticed(text: str, unknown: list[str], root: CommandNode) -> None:
    assert unknown_in(text, root) == unknown


def test_every_command_is_in_a_guide(root: CommandNode) -> None:
    everything = "".join(page.read_text() for page in PAGES)
    for node in root.walk():
        if not node.children:
            assert " ".join(node.path[1:]) in everything, node.path


def test_files_that_pages_mention_exist(page: Path) -> None:
    shown = {f"{block.module.replace('.', '/')}.py" for block in blocks(page) if block.module}
    for name in set(CODE.findall(page.read_text())) - shown:
        if re.fullmatch(r"(awictl|tests|benchmarks|docs|\.ci)/[\w/.]+", name):
            assert (REPOSITORY / name).exists(), name


def test_every_benchmark_is_described_with_the_command_that_runs_it() -> None:
    page = (REPOSITORY / "docs" / "performance.md").read_text()
    run = set(re.findall(r"python (benchmarks/\w+\.py)", page))
    helpers = {"benchmarks/load.py"}
    assert run | helpers == {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "benchmarks").glob("*.py")}


def test_the_guide_to_the_library_names_only_what_exists() -> None:
    page = (REPOSITORY / "docs" / "library.md").read_text()
    first_cells = "".join(re.findall(r"^\|([^|]+)\|", page, re.MULTILINE))
    calls = set(re.findall(r"(?<![\w.])([a-z]\w+)(?=\(|`)", first_cells.replace("manager.", "")))
    assert {"find_session", "media", "sweeper"} <= calls
    assert {name for name in calls if not hasattr(StateManager, name)} == set()
    services = re.search(r"`manager\.media`[^|]*\|([^|\n]+)", page)
    assert services is not None
    assert all(hasattr(MediaCache, name) for name in CODE.findall(services[1]))


def test_the_guide_to_the_library_lists_the_errors_with_their_exit_codes() -> None:
    page = (REPOSITORY / "docs" / "library.md").read_text()
    listed = {
        name: int(code)
        for names, code in re.findall(r"^\| (`[A-Z][^|]+) \| (\d) \|", page, re.MULTILINE)
        for name in CODE.findall(names)
    }
    public = {name for name in dir(errors) if isinstance(getattr(errors, name), type)} - {"AwiError"}
    assert listed == {name: getattr(errors, name).exit_code for name in public & set(awictl.__all__)}


def test_the_exit_codes_of_errors_are_in_the_guide_to_operating() -> None:
    page = (REPOSITORY / "docs" / "operating.md").read_text()
    listed = set(map(int, re.findall(r"^\| (\d+) \|", page, re.MULTILINE)))
    raised = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, AwiError)}
    assert raised | {0, INTERRUPTED, CLOSED_PIPE} == listed


def test_the_map_of_the_house_is_the_table_of_imports() -> None:
    from test_imports import ALLOWED, BASICS, SERVICES

    groups = {"basics": BASICS, "services": SERVICES, "storage": {"document", "store", "archive"}}
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    may = {}
    for folder, cell in rows:
        names = {name.strip(" `") for name in cell.split(",")}
        may[folder] = set().union(*(groups.get(name, {name}) for name in names)) - {folder}
    folders = {path.name for path in (REPOSITORY / "awictl").iterdir() if (path / "__init__.py").exists()}
    assert may == {folder: ALLOWED[folder] - {folder} for folder in folders}


SHOWN = """\
SESSION                                AGENT     TTL
────────────────────────────────────────────────────
sess_570c717a69a93a91b28f755b2725623d  Price w…  29m 59s
2 of 3 actions
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("570c717a69a93a91b28f755b2725623d", "0123456789abcdef0123456789abcdef", True),
        ("29m 59s", "450ms", True),
        ("2 of 3", "12 of 1,300", True),
        ("w…", "watcher…", True),
        ("  TTL", "      TTL", True),
        ("TTL", "EXPIRES", False),
        ("actions", "deeds", False),
        ("2 of 3 actions\n", "", False),
        ("2 of 3 actions\n", "2 of 3 actions\nand more\n", False),
        ("29m 59s", "-", False),
    ],
)
def test_output_matches_but_for_what_differs_from_run_to_run(old: str, new: str, same: bool) -> None:
    assert old in SHOWN
    assert matches(SHOWN, SHOWN.replace(old, new)) is same


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ("first\n…\nlast\n", True),
        ("…\nlast\n", True),
        ("first\n…\n", True),
        ("first\n…\nlost\n", False),
        ("last\n…\n", False),
    ],
)
def test_a_line_of_dots_stands_for_any_lines(shown: str, same: bool) -> None:
    assert matches(shown, "first\nsecond\nthird\nlast\n") is same
    assert matches("first\n…\nlast\n", "first\nlast\n")


def test_every_picture_is_shown_on_a_page_and_is_small() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    for picture in (REPOSITORY / "docs" / "images").iterdir():
        assert re.search(rf"!\[[^\]]+\]\((docs/)?images/{re.escape(picture.name)}\)", pages), picture
        assert picture.stat().st_size < 200_000, picture
