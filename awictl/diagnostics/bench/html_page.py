"""Render the page of a site from the session state that describes it, so that both have the same contents.

Two kinds of page are rendered:

- *lean*: as a server renders it without a framework. Navigation, breadcrumbs, filters, every field of every item,
  buttons, pagination, footer; styles and scripts are linked.
- *heavy*: the same, as many frameworks deliver it. Class names of a utility CSS framework and an SVG icon on each
  element, and, inlined in the page, its CSS, its scripts, the metadata for search engines, and the items once more as
  JSON, from which the scripts rebuild the page (*hydration*). `page_assets` says how much of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from html import escape
from typing import Any

from ...document.json_codec import dumps
from ...document.schema import as_array, as_object, as_text
from . import page_assets


class PageKind(StrEnum):
    """A kind of page."""

    LEAN = "lean"
    HEAVY = "heavy"


#: Fields of an item that have a place of their own; all others are listed as names and values.
_PLACED = ("id", "title", "name", "author", "createdAt", "tags", "excerpt", "body", "text")
_NAVIGATION = ("Home", "Posts", "Tags", "Members", "About", "Sign out")


def render_page(state: Any, kind: PageKind) -> str:
    """The page that a `page_state` describes. Stored values may have any type; all of them are escaped."""
    page = _RenderedPage(as_object(state), kind is PageKind.HEAVY)
    body = "\n".join(page.body())
    title = escape(page.title)
    if kind is PageKind.LEAN:
        head = '<link rel="stylesheet" href="/assets/site.css">\n<script src="/assets/site.js" defer></script>'
        tail = ""
    else:
        head, tail = page_assets.head(page.title, page.state), page_assets.tail(page.state)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n{head}\n</head>\n<body>\n{body}\n{tail}</body>\n</html>\n"
    )


class _RenderedPage:
    """The page of a page state."""

    def __init__(self, state: Mapping[str, Any], heavy: bool) -> None:
        self.state = state
        self._heavy = heavy
        self._route = as_text(state.get("route")) or "/"
        self.title = as_text(as_object(state.get("metadata")).get("title")) or "Untitled"

    def body(self) -> Iterable[str]:
        """The lines between <body> and </body>."""
        yield f"<header{self._class('header')}>{self._icon('menu')}<nav><ul>"
        for name in _NAVIGATION:
            yield f'<li><a{self._class("link")} href="/{escape(name.lower().replace(" ", "-"))}">{name}</a></li>'
        yield "</ul></nav></header>"
        yield f"<main{self._class('main')}>"
        crumbs = as_array(as_object(self.state.get("metadata")).get("breadcrumbs"))
        yield f'<nav aria-label="Breadcrumb">{" / ".join(f"<a href=#>{_text(one)}</a>" for one in crumbs)}</nav>'
        yield f"<h1{self._class('title')}>{escape(self.title)}</h1>"
        yield from self._controls()
        if opened := as_object(self.state.get("post")):
            yield from self._item(opened, "h2")
        yield "<section>"
        for item in as_array(self.state.get("visible_items")):
            yield from self._item(as_object(item) or {"title": item}, "h3")
        yield "</section>"
        yield from self._pagination()
        yield "</main>"
        yield f"<footer{self._class('footer')}><p>© The example forum</p><a href=/imprint>Imprint</a></footer>"

    def _controls(self) -> Iterable[str]:
        """The form with filters and sorting."""
        yield f'<form{self._class("form")} action="{escape(self._route)}" method="get">'
        yield f'<label>Search <input{self._class("input")} type="search" name="q"></label>'
        for name, value in as_object(self.state.get("filters")).items():
            field = f'<input{self._class("input")} name="{_text(name)}" value="{_text(value)}">'
            yield f"<label>{_text(name)} {field}</label>"
        sort = as_object(self.state.get("sort"))
        yield f"<label>Sort by <select{self._class('input')} name=sort>"
        for key in dict.fromkeys([_text(sort.get("key")), "createdAt", "likes", "comments", "title"]):
            yield f'<option value="{key}"{" selected" if key == _text(sort.get("key")) else ""}>{key}</option>'
        yield f"</select></label><button{self._class('button')}>{self._icon('filter')}Apply</button></form>"

    def _item(self, item: Mapping[str, Any], heading: str) -> Iterable[str]:
        """A post or comment, with every field that the state has."""
        own = _text(item.get("id"))
        yield f'<article{self._class("card")} id="item-{own}">'
        if (name := item.get("title", item.get("name"))) is not None:
            link = f'<a{self._class("link")} href="{escape(self._route)}/{own}">{_text(name)}</a>'
            yield f"<{heading}{self._class('heading')}>{link}</{heading}>"
        if "author" in item or "createdAt" in item:
            yield (
                f"<p{self._class('meta')}>{self._icon('user')}<span>{_text(item.get('author'))}</span>"
                f'{self._icon("clock")}<time datetime="{_text(item.get("createdAt"))}">'
                f"{_text(item.get('createdAt'))}</time></p>"
            )
        if tags := as_array(item.get("tags")):
            links = (f'<li><a{self._class("tag")} href="/tags/{_text(tag)}">{_text(tag)}</a></li>' for tag in tags)
            yield f"<ul{self._class('tags')}>{''.join(links)}</ul>"
        for field in ("excerpt", "body", "text"):
            if field in item:
                yield f"<p{self._class('text')}>{_text(item[field])}</p>"
        if others := [(field, value) for field, value in item.items() if field not in _PLACED]:
            pairs = (f"<dt>{_text(field)}</dt><dd>{_text(value)}</dd>" for field, value in others)
            yield f"<dl{self._class('fields')}>{''.join(pairs)}</dl>"
        yield f'<form{self._class("actions")} method="post" action="{escape(self._route)}/{own}">'
        for action in ("like", "comment", "share"):
            yield f'<button{self._class("button")} name="{action}">{self._icon(action)}{action.title()}</button>'
        yield "</form></article>"

    def _pagination(self) -> Iterable[str]:
        """The links to other pages of a list."""
        pagination = as_object(self.state.get("pagination"))
        cursor, last = (value if type(value) is int else 1 for value in map(pagination.get, ("cursor", "total_pages")))
        yield f'<nav{self._class("pages")} aria-label="Pages"><p>Page {cursor} of {last}</p>'
        for number in range(max(1, cursor - 3), min(last, cursor + 3) + 1):
            yield f'<a{self._class("page")} href="{escape(self._route)}?page={number}">{number}</a>'
        yield "</nav>"

    def _class(self, what: str) -> str:
        return f' class="{page_assets.CLASSES[what]}"' if self._heavy else f' class="{what}"'

    def _icon(self, name: str) -> str:
        return page_assets.icon(name) if self._heavy else ""


def _text(value: Any) -> str:
    """A stored value as text of the page."""
    if value is None:
        return ""
    return escape(value if isinstance(value, str) else dumps(value).decode())
