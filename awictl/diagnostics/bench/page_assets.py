"""What a heavy page has besides its contents: styles, scripts, icons, metadata, and its items as JSON.

It is made of the kinds of text that real pages inline, in fixed amounts. How heavy the page is decides its ratio to the
state, so compare with your own pages (`awictl bench tokens --html`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from ...document.json_codec import dumps
from ...document.schema import as_array, as_object

#: Rules of the inlined stylesheet, each in two themes; about 40 kB.
CSS_RULES = 320
#: Modules of the inlined script; about 20 kB.
SCRIPT_MODULES = 60

_CARD = "relative flex flex-col gap-3 rounded-xl border border-slate-200 bg-white p-6 shadow-sm hover:shadow-md"
_DARK = "dark:border-slate-700 dark:bg-slate-800"
_FOCUS = "focus:outline-none focus-visible:ring-2 focus-visible:ring-indigo-500 focus-visible:ring-offset-2"
_CHIP = "inline-flex items-center rounded-full bg-indigo-50 px-2 py-1 text-xs font-medium text-indigo-700 ring-1"
#: Class names of a utility CSS framework for each kind of element.
CLASSES: Mapping[str, str] = {
    "header": "sticky top-0 z-40 flex w-full items-center justify-between border-b bg-white/80 px-4 py-3 backdrop-blur",
    "main": "mx-auto w-full max-w-7xl px-4 py-8 sm:px-6 lg:px-8",
    "title": "text-3xl font-bold tracking-tight text-slate-900 sm:text-4xl dark:text-white",
    "form": "mt-6 flex flex-wrap items-end gap-4 rounded-lg bg-slate-50 p-4 dark:bg-slate-900",
    "input": f"block w-full rounded-md border-0 px-3 py-2 text-sm text-slate-900 shadow-sm ring-1 ring-inset {_FOCUS}",
    "button": f"inline-flex items-center gap-x-2 rounded-md bg-indigo-600 px-3 py-2 text-sm text-white {_FOCUS}",
    "card": f"{_CARD} transition-shadow duration-150 ease-in-out {_DARK}",
    "heading": "text-lg font-semibold leading-6 text-slate-900 line-clamp-2 dark:text-slate-100",
    "link": f"underline-offset-4 hover:text-indigo-600 hover:underline {_FOCUS} dark:hover:text-indigo-400",
    "meta": "flex items-center gap-x-2 text-xs leading-5 text-slate-500 dark:text-slate-400",
    "tags": "flex flex-wrap gap-2",
    "tag": f"{_CHIP} ring-inset ring-indigo-700/10 dark:bg-indigo-400/10 dark:text-indigo-400 dark:ring-indigo-400/30",
    "text": "text-sm leading-6 text-slate-600 line-clamp-3 dark:text-slate-300",
    "fields": "grid grid-cols-2 gap-x-4 gap-y-1 text-xs text-slate-500 sm:grid-cols-4",
    "actions": "mt-auto flex items-center gap-2 border-t border-slate-100 pt-3 dark:border-slate-700",
    "pages": "mt-8 flex items-center justify-between border-t border-slate-200 px-4 sm:px-0",
    "page": "inline-flex items-center border-t-2 border-transparent px-4 pt-4 text-sm font-medium text-slate-500",
    "footer": "mt-16 border-t border-slate-200 bg-white py-12 text-center text-xs leading-5 text-slate-500",
}

_ICONS = {
    "menu": "M3.5 6.25h17M3.5 12.25h17M3.5 18.25h17",
    "filter": "M3 4.5c3.2-.6 14.8-.6 18 0v1.9c0 .5-.2 1-.6 1.4l-5.1 5.1c-.4.4-.6.9-.6 1.4v3.2l-5.2 2.6v-5.8c0-.5-.2-1",
    "user": "M16 6.5a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM4.2 20.6a7.8 7.8 0 0 1 15.6 0c-2.4 1.1-5 1.7-7.8 1.7s-5.4-1-8-2Z",
    "clock": "M12 5.5v6.75l4.25 2.5M21.5 12a9.5 9.5 0 1 1-19 0 9.5 9.5 0 0 1 19 0Z",
    "like": "M12 20.5 4.1 12.3c-2-2.1-2-5.4 0-7.4 2-2 5.1-2 7.1 0l.8.9.8-.9c2-2 5.1-2 7.1 0 2 2 2 5.3 0 7.4L12 20.5Z",
    "comment": "M3.5 5.75c0-1.2 1-2.25 2.25-2.25h12.5c1.2 0 2.25 1 2.25 2.25v8.5c0 1.2-1 2.25-2.25 2.25H11l-5 4V16.5",
    "share": "M18 7.5a2.5 2.5 0 1 0-5 0 2.5 2.5 0 0 0 5 0ZM8.5 12a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Zm-.3 1.2 5.6 3.1",
}

_PROPERTIES = (
    "margin-top:{n}px",
    "padding:{n}px {m}px",
    "gap:.{n}rem",
    "color:rgb({n} {m} 139/var(--tw-text-opacity))",
    "width:calc({m}% - {n}px)",
    "border-radius:{n}px",
    "transform:translate({n}px,var(--tw-translate-y)) rotate({m}deg)",
    "box-shadow:0 {n}px {m}px -1px rgb(0 0 0/.1)",
    "grid-template-columns:repeat({m},minmax(0,1fr))",
    "z-index:{n}",
)
_NAMES = (
    "mt",
    "px",
    "gap",
    "text",
    "w",
    "rounded",
    "translate",
    "shadow",
    "grid-cols",
    "z",
    "lg\\:col-span",
    "hover\\:bg",
)

_MODULES_FILE = Path(__file__).with_name("heavy_modules.js")
_WORDS = ("Card", "Feed", "Modal", "Avatar", "Router", "Store", "Toast", "Query", "Theme", "Search", "Player", "Editor")


def icon(name: str) -> str:
    """An inlined SVG icon."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" fill="none" viewBox="0 0 24 24" stroke-width="1.5"'
        ' stroke="currentColor" class="h-5 w-5 shrink-0" aria-hidden="true"><path stroke-linecap="round"'
        f' stroke-linejoin="round" d="{_ICONS[name]}"/></svg>'
    )


def head(title: str, state: Mapping[str, Any]) -> str:
    """What the page has before </head>: metadata for other sites and for search engines, and the stylesheet."""
    items = [as_object(one) for one in as_array(state.get("visible_items"))]
    entries = [
        {"@type": "ListItem", "position": number, "name": item.get("title"), "url": f"/posts/{item.get('id')}"}
        for number, item in enumerate(items, 1)
    ]
    linked = {"@context": "https://schema.org", "@type": "ItemList", "itemListElement": entries}
    lines = [f'<meta property="og:{name}" content="{escape(title)}">' for name in ("title", "description", "site_name")]
    lines += [f'<link rel="preload" as="font" href="/fonts/inter-{w}.woff2" crossorigin>' for w in (400, 500, 700)]
    lines += [f'<script type="application/ld+json">{_json(linked)}</script>', f"<style>{_css()}</style>"]
    return "\n".join(lines)


def tail(state: Mapping[str, Any]) -> str:
    """What the page has before </body>: its state as JSON, for hydration, and the scripts."""
    data = {"props": {"pageProps": state}, "page": "/posts", "buildId": "f3Zk0Qm1x", "isFallback": False}
    return f'<script id="__DATA__" type="application/json">{_json(data)}</script>\n<script>{_scripts()}</script>\n'


def _json(value: Any) -> str:
    """JSON inside a script: no text of it can end the element."""
    return dumps(value).decode(errors="replace").replace("<", "\\u003c")


@cache
def _css() -> str:
    return "".join(_css_rules())


def _css_rules() -> Iterator[str]:
    for number in range(CSS_RULES):
        n, m = number * 7 % 97, number * 3 % 13 + 1
        rule = _PROPERTIES[number % len(_PROPERTIES)].format(n=n, m=m)
        name = f"{_NAMES[number % len(_NAMES)]}-{number}"
        yield f".{name}{{{rule}}}@media (prefers-color-scheme:dark){{.dark\\:{name}:is(.dark *){{{rule}}}}}"


@cache
def _scripts() -> str:
    """Modules as a bundler makes them, from the templates in `heavy_modules.js`."""
    templates = _MODULES_FILE.read_text(encoding="utf-8").splitlines()
    modules = []
    for number in range(SCRIPT_MODULES):
        values = {
            "@a@": f"{_WORDS[number % len(_WORDS)]}{number}",
            "@n@": str(number * 53 % 997),
            "@m@": str(number + 9),
        }
        text = templates[number % len(templates)]
        for name, value in values.items():
            text = text.replace(name, value)
        modules.append(f"{1000 + 7 * number}:{text}")
    return f"(self.__chunks=self.__chunks||[]).push([[179],{{{','.join(modules)}}}]);"
