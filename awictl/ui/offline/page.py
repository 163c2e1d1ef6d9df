"""The page of one session as one HTML file: the inspector's modules and styles, the data, and what it is a copy of.

The file makes no request: its Content-Security-Policy allows the script and the styles that are in it, by their
hashes, and nothing else. Apart from the time of the export, the same session gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..._version import __version__
from ...agents.secret import mask_whole_secrets
from ...document.json_codec import dumps
from ...document.redaction.rules import Redaction
from ...sessions.whole_session import WholeSession
from ..api.session_payload import session_payload
from .bundle import STATIC, bundle

#: The module that starts the page, and the styles that it has besides those of the inspector.
ENTRY, STYLE = "offline/offline.js", "offline/offline.css"
_STYLESHEET = re.compile(r'<link rel="stylesheet" href="/static/([^"]+)">')
_UNREAD = "Earlier actions may be in the archive, which could not be read: they are missing here."
_LIMITS = (
    "Patterns find secrets by their form or name: personal names, addresses and other free text are still in this file."
)


class CopyFacts(NamedTuple):
    """What the banner says of the copy."""

    session_id: str
    #: Where it is from, as part of a sentence.
    source: str
    #: The time of the export, in ISO 8601.
    made_at: str
    #: The version of awictl.
    version: str
    #: How many values were redacted, by kind, as `Redactor.summary` returns it; None if nothing was to be redacted.
    redacted: Mapping[str, Mapping[str, int]] | None
    #: The JSON pointers whose values were redacted.
    pointers: tuple[str, ...] = ()
    #: What else a reader should know, one sentence each.
    notices: tuple[str, ...] = ()


class SessionCopy(NamedTuple):
    """A session, ready to be written as a page."""

    payload: dict[str, Any]
    facts: CopyFacts


def session_copy(whole: WholeSession, redaction: Redaction | None, made_at: str) -> SessionCopy:
    """The data of a page and what its banner says. `made_at`: the time, in ISO 8601."""
    payload = session_payload(whole, redaction)
    redacted = payload["redacted"]
    facts = CopyFacts(
        session_id=payload["session_id"],
        source=_source(whole),
        made_at=made_at,
        version=__version__,
        redacted=redacted["values"] if redacted is not None else None,
        pointers=tuple(redacted["pointers"]) if redacted is not None else (),
        notices=(_UNREAD,) if whole.unread is not None else (),
    )
    # origin and notices name servers, which the reader of a copy has no use for; a copy does not expire
    payload.update(origin=None, notices=[], ttl_ms=None, now=made_at)
    if payload["place"] == "live":
        payload["place"] = "copy"
    return SessionCopy(payload, facts)


def _source(whole: WholeSession) -> str:
    if whole.degraded:
        return "from the archive, while Redis was unreachable, which may have had a newer state"
    return "from the live session" if whole.stored is not None else "from the archive"


def page(copy: SessionCopy) -> Iterator[bytes]:
    """The parts of the file. Reads static files."""
    facts = copy.facts
    script, style = bundle(STATIC, ENTRY), _style()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<meta name="generator" content="awictl {html.escape(facts.version)}">\n'
        # a browser would ask a server for an icon otherwise
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(facts.session_id)} (copy) · awictl</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{_banner(facts)}"
        '<main id="app"><p>Reading the session…</p><noscript><p>This page needs JavaScript.</p></noscript></main>\n'
        '<script type="application/json" id="payload">'
    ).encode()
    yield embedded_json(copy.payload)
    yield f'</script>\n<script type="module">{script}</script>\n</body>\n</html>\n'.encode()


def embedded_json(value: Any) -> bytes:
    """A value as JSON that can stand in a script element; whole API keys of agents are masked."""
    data = dumps(value)
    if b"agent_" in data:
        data = mask_whole_secrets(data.decode()).encode()
    # Only strings have these characters. `<` could end the element or begin a comment.
    return data.replace(b"<", b"\\u003c").replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def _banner(facts: CopyFacts) -> str:
    sentences = [
        f"<p><strong>A copy of session {html.escape(facts.session_id)}</strong>, made {html.escape(facts.made_at)} by "
        f"awictl {html.escape(facts.version)} {html.escape(facts.source)}. It does not change any more.</p>\n",
        *(f"<p>{html.escape(one)}</p>\n" for one in facts.notices),
    ]
    if facts.redacted is None:
        sentences.append('<p class="not-redacted">Nothing is redacted: it has everything that was stored.</p>\n')
    else:
        counts = ", ".join(f"{kind} {one['values']:,}" for kind, one in facts.redacted.items())
        found = f"Redacted values: {counts}." if counts else "Nothing was found to redact."
        if facts.pointers:
            found += f" Values at {', '.join(facts.pointers)} are redacted wherever they occur."
        sentences.append(f"<p>{html.escape(found)} {_LIMITS}</p>\n")
    return f'<header class="copy-banner">\n<div>\n{"".join(sentences)}</div>\n<div id="theme"></div>\n</header>\n'


def _style() -> str:
    """All styles of the inspector in their order, then those of the file alone."""
    names = [*_STYLESHEET.findall((STATIC / "index.html").read_text(encoding="utf-8")), STYLE]
    text = "".join((STATIC / name).read_text(encoding="utf-8") for name in names)
    wrong = [one for one in ("</style", "<!--", "url(", "@import") if one in text.lower()]
    if wrong:
        raise ValueError(f"the styles have {wrong[0]}, which cannot stand in a page that is one file")
    return text


def _hash(text: str) -> str:
    """The source expression of Content-Security-Policy that allows an inline element with this text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
