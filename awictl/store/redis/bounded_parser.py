"""A parser of replies that gives up on a server which would exhaust memory.

The replies to one request may have a limited number of bytes and of elements, all together. A hostile or broken server
can announce any size, never end a line, or send without pause; hiredis would buffer all of it.
"""

from __future__ import annotations

import re
from typing import Any

from redis.asyncio.connection import DefaultParser
from redis.exceptions import InvalidResponse

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
#: Bytes of the replies to a request that are kept for a closer look; a larger string is always requested alone.
_KEPT = 5 * 1_048_576
#: Bytes in which an announcement may have begun that the next bytes complete; hiredis accepts no longer number.
_LONGEST_START = 32
_HINT = "which AWI_MAX_DOCUMENT_BYTES determines"


class ReplyTooLarge(InvalidResponse):
    """The server's reply is larger than any expected reply."""


class BoundedParser(DefaultParser):  # type: ignore[misc,valid-type]
    """Parses the replies on one connection. Raises ReplyTooLarge if those to one request exceed the limits."""

    def __init__(self, max_bytes: int, socket_read_size: int) -> None:
        """`max_bytes`: maximum size of a document."""
        super().__init__(socket_read_size=socket_read_size)
        self._limit = max_bytes + EXTRA_BYTES
        self.expect_replies()

    def on_connect(self, connection: Any) -> None:
        """Start with an empty buffer."""
        super().on_connect(connection)
        self.expect_replies()

    def expect_replies(self, *, long_line: bool = False) -> None:
        """Start counting for a new request. `long_line`: whether a line may be as long as a document."""
        self._received = self._lines = 0
        self._max_line = self._limit if long_line else MAX_LINE
        #: Whether all that was received is the start of a line.
        self._in_line = False
        #: The last bytes that were received; at first the newline that precedes every announcement.
        self._end = b"\n"
        #: All that was received, as long as it is not too much, and where in it the next reply to be checked begins.
        self._chunks: list[bytes] = []
        self._at = 0

    async def read_from_socket(self) -> Any:
        """Read what has arrived, check it, and feed it to hiredis."""
        data = await self._stream.read(self._read_size)
        if not data:
            return await super().read_from_socket()  # reports that the connection is closed
        self._check(data)
        self._reader.feed(data)
        return True

    def _check(self, data: bytes) -> None:
        if not self._received:
            self._in_line = data[0] in b"+-:"
        if self._received <= _KEPT:
            self._chunks.append(data)
        else:
            self._chunks.clear()
        searched = self._end + data
        if _LARGE.search(searched):
            self._check_announced()
        self._end = searched[-_LONGEST_START:]
        self._received += len(data)
        if self._received > self._limit:
            raise ReplyTooLarge(f"it sent more than {self._limit:,} bytes in reply to one request, {_HINT}")
        if self._in_line:
            self._in_line = b"\n" not in data
            if self._in_line and self._received > self._max_line:
                raise ReplyTooLarge(f"it sent a line of more than {self._max_line:,} bytes")
        if self._received > _UNCOUNTED:
            self._lines += data.count(b"\r\n")
            if self._lines > MAX_LINES:
                raise ReplyTooLarge(f"it sent more than {MAX_LINES:,} elements in reply to one request")

    def _check_announced(self) -> None:
        """Raise ReplyTooLarge if replies announce too large a string or array.

        Stored text may look like an announcement, so the replies are followed from the first one. In a reply that is
        too large to be kept for that, any such text is taken for one.
        """
        if not self._chunks:
            raise ReplyTooLarge("it announced a large reply within another one")
        data = b"".join(self._chunks)
        while (end := data.find(b"\r\n", self._at)) >= 0:
            kind, number = data[self._at : self._at + 1], data[self._at + 1 : end]
            self._at = end + 2
            if kind not in b"$=!*~>%|" or not number.isdigit():
                continue  # a line
            size = int(number[:20])
            if kind in b"*~>%|":
                if size >= MAX_ELEMENTS:
                    raise ReplyTooLarge(f"it announced {size:,} elements")
            elif size > self._limit:
                raise ReplyTooLarge(f"it announced {size:,} bytes, more than the limit of {self._limit:,}, {_HINT}")
            else:
                self._at += size + 2


def describe_excess(error: Exception) -> str | None:
    """How the replies of a server exceed the limits, as a clause; None if the error has another cause."""
    if isinstance(error, ReplyTooLarge):
        return str(error)
    # hiredis has a limit of its own
    return "it nested arrays without end" if isinstance(error, InvalidResponse) and "nesting" in str(error) else None
