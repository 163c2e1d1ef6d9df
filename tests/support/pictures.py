"""The pictures in `docs/images`: what terminals show while awictl runs, as SVG files that load nothing from elsewhere.

AWICTL_UPDATE_DOCS=1 makes the tests write them anew.
"""

from __future__ import annotations

import html
import io
import itertools
import re
from collections.abc import Callable

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

from .cli import Cli
from .guides import REPOSITORY
from .terminal import on_terminal

FOLDER = REPOSITORY / "docs" / "images"
COLUMNS, TOP_COLUMNS = 110, 133
#: Width of a character in Rich's pictures.
_CELL_WIDTH = 12.2
#: Rich's picture of a terminal, without its web fonts: `textLength` keeps the columns straight in any other font.
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{
  font-family: monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
#: The sessions in the pictures: agent, its name, the route, and the names of its actions; ! marks one that failed.
SESSIONS = [
    ("agent-1", "BrowserUseAgent", "/api/agent/posts", ["page_update", "filter", "get_post!", "next_page"]),
    ("agent-2", "Price watcher", "/api/agent/search", ["search", "sort"]),
    ("agent-3", "Booking agent", "/api/agent/posts", ["get_post!"]),
]
#: What the first picture shows.
TOUR = [
    ["session", "list", "--sort", "agent"],
    ["session", "history", "$id", "--limit", "4"],
    ["session", "diff", "$id"],
    ["keys", "ttl"],
]


def fill(user: Cli) -> list[str]:
    """Create the sessions. Returns their ids."""
    ids = []
    for agent, name, route, actions in SESSIONS:
        created = user.ok("session", "create", "--agent", agent, "--name", name, "--route", route, "-o", "ids")
        ids.append(created.text.strip())
        for action in actions:
            act(user, ids[-1], action)
    return ids


def act(user: Cli, session_id: str, action: str) -> None:
    """Record an action, with a delta if it changes the page."""
    name = action.rstrip("!")
    delta = {
        "filter": '{"page_state":{"filters":{"tag":"awi"}}}',
        "next_page": '{"page_state":{"pagination":{"cursor":2,"total_pages":5}}}',
        "sort": '{"page_state":{"sort":{"key":"price","order":"asc"}}}',
    }.get(name, "{}")
    failed = ["--failed", "--observation", "Post not found"] if action.endswith("!") else []
    user.ok("session", "apply", session_id, delta, "--action", name, *failed)


def tour(user: Cli) -> pyte.Screen:
    """Commands, one below the other, and what they print."""
    first, *_ = fill(user)
    whole = pyte.Screen(COLUMNS, 80)
    stream = pyte.ByteStream(whole)
    for words in TOUR:
        stream.feed(f"$ awictl {' '.join(words)}\r\n".encode())
        with on_terminal(user, *(first if word == "$id" else word for word in words), columns=COLUMNS) as terminal:
            assert terminal.end() == 0
        stream.feed(terminal.sent + b"\r\n")
    return whole


def top(user: Cli) -> pyte.Screen:
    """The full screen, once it has seen some activity."""
    ids = fill(user)
    with on_terminal(user, "top", "--interval", "1", columns=TOP_COLUMNS, rows=12) as terminal:
        terminal.until(*(name for _, name, _, _ in SESSIONS))
        for session_id in ids[:2]:
            act(user, session_id, "next_page")
        names = [name for _, name, _, _ in SESSIONS]
        terminal.until(*names, lambda text: re.search(r"[1-9]\S*\sactions/s", text) is not None)
        terminal.press("q")
        return terminal.screen


def watch(user: Cli) -> pyte.Screen:
    """One session, right after a change."""
    session_id = fill(user)[0]
    with on_terminal(user, "session", "watch", session_id, "--interval", "0.2", columns=COLUMNS) as terminal:
        terminal.until("get_post")
        act(user, session_id, "filter")
        terminal.until(lambda text: "* " in text and "session_start" in text and text.count("filter") > 2)
        return terminal.screen


PICTURES: dict[str, Callable[[Cli], pyte.Screen]] = {"tour": tour, "top": top, "watch": watch}


def text_of(screen: pyte.Screen) -> str:
    """What a screen shows."""
    return "\n".join(line.rstrip() for line in screen.display).rstrip() + "\n"


def svg_of(screen: pyte.Screen) -> str:
    """What a screen shows, with its colours, as a picture."""
    console = Console(
        record=True, width=screen.columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for row in range(len(text_of(screen).splitlines())):
        line = Text(no_wrap=True)
        cells = (screen.buffer[row][column] for column in range(screen.columns))
        for style, run in itertools.groupby(cells, key=_style):
            line.append("".join(cell.data for cell in run), style)
        console.print(line)
    console.print()
    return console.export_svg(title="awictl", theme=MONOKAI, code_format=_SVG, unique_id="awictl")


def _style(cell: pyte.screens.Char) -> Style:
    def color(name: str) -> str | None:
        names = {"default": None, "brown": "yellow"}
        return names.get(name, f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else name)

    return Style(color=color(cell.fg), bgcolor=color(cell.bg), bold=cell.bold, reverse=cell.reverse)


def text_in(svg: str) -> str:
    """The text of a picture, a line for each line of the terminal."""
    lines: dict[float, str] = {}
    body = svg[svg.index('<g class="awictl-matrix">') :]
    for x, y, text in re.findall(r'<text [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', body):
        column = round(float(x) / _CELL_WIDTH)
        lines[float(y)] = lines.get(float(y), "").ljust(column) + html.unescape(text).replace("\xa0", " ")
    return "\n".join(lines[y].rstrip() for y in sorted(lines))
