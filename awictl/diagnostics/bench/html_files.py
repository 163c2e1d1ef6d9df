"""Read the HTML pages of a user: one file, or those of a folder. They may be anything."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import NamedTuple

from ...errors import InvalidInput, NotFound

#: Maximum size of a page, in bytes. The largest pages are a few MB.
MAX_PAGE_BYTES = 8 * 1024 * 1024
SUFFIXES = (".html", ".htm", ".xhtml")
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
#: Bytes in which a page declares its encoding, as the HTML standard requires.
_DECLARED_BYTES = 1024
_DECLARED = re.compile(rb"""<meta[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)

#: The encodings of pages that are not UTF-8 or UTF-16.
_ENCODINGS = re.compile(
    r"windows-125[0-8]|iso-8859-([2-9]|1[03456])|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-(jp|kr)|shift_jis|iso-2022-jp"
)


class HtmlPage(NamedTuple):
    """A page of the user."""

    path: Path
    #: Size of the file in bytes.
    size: int
    text: str


def find_pages(path: Path) -> list[Path]:
    """The files to count: the file itself, or the HTML files in a folder and below it, sorted. Links are not followed.

    Raises NotFound if there is none.
    """
    if not path.is_dir():
        if not path.exists():
            raise NotFound(f"{path} does not exist; --html takes an HTML file, or a folder with such files")
        return [path]
    found = [
        Path(folder, name) for folder, _, names in os.walk(path) for name in names if name.lower().endswith(SUFFIXES)
    ]
    if not found:
        raise NotFound(f"{path} contains no HTML file (*.html, *.htm or *.xhtml)")
    return sorted(found)


def read_page(path: Path) -> HtmlPage:
    """Read a page. Raises InvalidInput if it is not a regular file, too large, not text, or cannot be read."""
    try:
        if not path.is_file():  # reading a pipe or a device might never end
            raise InvalidInput(f"{path} is not a regular file")
        with path.open("rb") as file:
            raw = file.read(MAX_PAGE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_PAGE_BYTES:
        raise InvalidInput(f"{path} is larger than {MAX_PAGE_BYTES:,} bytes, too large for a page")
    text = decode_page(raw)
    if "\0" in text:
        raise InvalidInput(f"{path} is not text: it contains null bytes")
    return HtmlPage(path, len(raw), text)


def decode_page(raw: bytes) -> str:
    """The text of a page: in the encoding of its byte order mark, else the declared one, else UTF-8.

    Invalid bytes become the replacement character, as in a browser.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(name, errors="replace")
    declared = _DECLARED.search(raw[:_DECLARED_BYTES])
    return raw.decode(_encoding(declared[1].decode()) if declared else "utf-8", errors="replace")


def _encoding(name: str) -> str:
    """The codec of a declared encoding: one that browsers know, else UTF-8. Python has more, which are not for text."""
    name = name.lower()
    if name in ("iso-8859-1", "latin1", "us-ascii", "ascii"):
        return "cp1252"  # as the encoding standard of browsers says
    return name if _ENCODINGS.fullmatch(name) else "utf-8"
