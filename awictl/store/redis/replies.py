"""Replies of a Redis server: parsed by hiredis, within limits that a hostile or broken server cannot exceed.

The replies to one request may have a limited number of bytes and of elements, all together. A server can announce any
size, never end a line, or send without pause; hiredis would buffer all of it.
"""

from __future__ import annotations

import re
from typing import Any

import hiredis

#: Bytes of replies to one request besides a document: names of keys, heads, INFO, lengths.
EXTRA_BYTES = 16 * 1_048_576
#: Maximum length in bytes of a reply that is a line. Servers truncate the arguments that an error quotes.
MAX_LINE = 65_536
#: Maximum number of lines, that is of elements, after the first _UNCOUNTED bytes. An element takes up to 200 bytes.
MAX_LINES = 250_000
_UNCOUNTED = 1_048_576
#: The announcement of a string or an array of a million bytes or elements or more. hiredis allocates an array at once,
#: and no reply to a request of awictl has as many elements. The newline before it makes the search ten times as fast.
_LARGE = re.compile(rb"\n([$=!*~>%|])([0-9]{7,})\r\n")
MAX_ELEMENTS = 1_000_000
#: Bytes of unfinished replies that are kept for a closer look; a larger string is always requested alone.
_KEPT = 5 * 1_048_576
#: Bytes in which an announcement may have begun that the next bytes complete; hiredis accepts no longer number.
_LONGEST_START = 32
_HINT = "which AWI_MAX_DOCUMENT_BYTES determines"
#: The code of an error inside a script of Redis 6.2, which puts its own text before it. Later versions do not.
_CODE_IN_SCRIPT = re.compile(r"^ERR Error running script .*?@user_script: ?\d+: -?([A-Z]{2,})(?= )", re.DOTALL)

#: What `ReplyReader.gets` returns if no further reply is complete.
PARTIAL: Any = object()


class ErrorReply(Exception):
    """An error that a server sent as its reply. `str()` is its whole text."""

    @property
    def code(self) -> str:
        """Its first word, such as `MOVED` or `ERR`; of an error in a script, the code of the error in it."""
        text = str(self)
        if text.startswith("ERR ") and (inner := _CODE_IN_SCRIPT.match(text)):
            return inner[1]
        return text.partition(" ")[0]


class Lost(Exception):
    """A request to which there is no reply.

    `sent`: whether the server may have executed it. `timed_out`: whether that is because it did not reply in time.
    `opening`: whether no connection could be opened. `closed`: whether that is because the client was closed. The cause
    is `__cause__`.
    """

    def __init__(
        self,
        where: str,
        reason: str,
        *,
        sent: bool,
        timed_out: bool = False,
        opening: bool = False,
        closed: bool = False,
    ) -> None:
        super().__init__(f"{where}: {reason}")
        #: The address of the server, for messages.
        self.where = where
        self.reason = reason
        self.sent = sent
        self.timed_out = timed_out
        self.opening = opening
        self.closed = closed


def client_closed(where: str) -> Lost:
    """The exception for a request on a client that was closed."""
    return Lost(where, "this client is closed", sent=False, opening=True, closed=True)


class NotAReply(Exception):
    """The server sent something that the Redis protocol does not have."""


class ReplyTooLarge(NotAReply):
    """The server's reply is larger than any expected reply."""


class ReplyReader:
    """Parses the replies on one connection. Raises NotAReply; ReplyTooLarge if those to one request exceed the limits.

    Per chunk of data: `feed` it, call `gets` until it returns PARTIAL, call `rest`.
    """

    __slots__ = (
        "_at",
        "_chunks",
        "_end",
        "_in_line",
        "_kept",
        "_limit",
        "_lines",
        "_max_line",
        "_reader",
        "_received",
        "gets",
    )

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: maximum size of a document."""
        self._limit = max_bytes + EXTRA_BYTES
        self._reader = hiredis.Reader(protocolError=_not_a_reply, replyError=ErrorReply, notEnoughData=PARTIAL)
        #: The next complete reply, or PARTIAL. Error replies are returned as ErrorReply.
        self.gets = self._reader.gets
        self.expect_replies()
        self._forget()

    def expect_replies(self, *, long_line: bool = False) -> None:
        """Start counting for the next request. `long_line`: whether a line may be as long as a document."""
        self._received = self._lines = 0
        self._max_line = self._limit if long_line else MAX_LINE

    def _forget(self) -> None:
        """Start to look for announcements anew: the next byte is the first one of a reply."""
        #: The bytes that were received since then, as long as they are not too many, and how many.
        self._chunks: list[bytes] = []
        self._kept = 0
        #: Where in them the next reply to be checked begins.
        self._at = 0
        #: The last bytes; at first the newline that precedes every announcement.
        self._end = b"\n"
        #: Whether all of them are the start of a line.
        self._in_line = False

    def feed(self, data: bytes) -> None:
        """Check what has arrived, and hand it to hiredis."""
        if not self._kept:
            self._in_line = data[0] in b"+-:"
        size = len(data)
        self._kept += size
        if self._kept <= _KEPT:
            self._chunks.append(data)
        else:
            self._chunks.clear()
        searched = self._end + data
        if _LARGE.search(searched):
            self._check_announced(searched)
        self._end = searched[-_LONGEST_START:]
        self._received += size
        if self._received > self._limit:
            raise ReplyTooLarge(f"it sent more than {self._limit:,} bytes in reply to one request, {_HINT}")
        if self._in_line:
            self._in_line = b"\n" not in data
            if self._in_line and self._kept > self._max_line:
                raise ReplyTooLarge(f"it sent a line of more than {self._max_line:,} bytes")
        if self._received > _UNCOUNTED:
            self._lines += data.count(b"\r\n")
            if self._lines > MAX_LINES:
                raise ReplyTooLarge(f"it sent more than {MAX_LINES:,} elements in reply to one request")
        self._reader.feed(data)

    def rest(self) -> None:
        """All complete replies were taken. If nothing is left, what was received need not be kept any more."""
        if not self._reader.has_data():
            self._forget()

    def _check_announced(self, searched: bytes) -> None:
        """Raise ReplyTooLarge if replies announce too large a string or array.

        Stored text may look like an announcement, so the replies are followed from the first one. In replies that are
        too large or too many to be kept for that, any such text in the last bytes, `searched`, is taken for one.
        """
        if not self._chunks:
            for kind, digits in _LARGE.findall(searched):
                self._check_size(kind, int(digits[:20]))
            return
        data = b"".join(self._chunks)
        while (end := data.find(b"\r\n", self._at)) >= 0:
            kind, number = data[self._at : self._at + 1], data[self._at + 1 : end]
            self._at = end + 2
            if kind not in b"$=!*~>%|" or not number.isdigit():
                continue  # a line
            size = int(number[:20])
            self._check_size(kind, size)
            if kind not in b"*~>%|":
                self._at += size + 2

    def _check_size(self, kind: bytes, size: int) -> None:
        if kind in b"*~>%|":
            if size >= MAX_ELEMENTS:
                raise ReplyTooLarge(f"it announced {size:,} elements")
        elif size > self._limit:
            raise ReplyTooLarge(f"it announced {size:,} bytes, more than the limit of {self._limit:,}, {_HINT}")


def _not_a_reply(text: str) -> NotAReply:
    """The error for bytes that hiredis rejects. It has a limit of its own for nested arrays."""
    return ReplyTooLarge("it nested arrays without end") if "nesting" in text else NotAReply(text)
