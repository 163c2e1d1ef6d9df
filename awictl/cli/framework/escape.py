r"""Escape text that comes from a store, a server or a file, so that it cannot control a terminal.

Every way to a terminal goes through here: `stdout.write` and the console of `stdout.new_console` for data,
`Output.notice` and `error_report` for messages, `log_format` for logs. Views escape text themselves only where they
need its width.
"""

from __future__ import annotations

import re

from ...util.printable import printable as printable
from ...util.printable import printable_lines as printable_lines

#: The control characters that output may contain.
_LINE_BREAKS = re.compile(r"[\n\t]")


def terminal_bytes(data: bytes) -> bytes:
    r"""Encoded output that is safe to print on a terminal; newlines and tabs stay.

    Other non-printable characters become `\uXXXX`, which is equal data in JSON; bytes that are not UTF-8 become `\xXX`.
    """
    text = data.decode("utf-8", "backslashreplace")
    if not _LINE_BREAKS.sub("", text).isprintable():
        text = "".join(one if one.isprintable() or one in "\n\t" else json_escape(one) for one in text)
    return text.encode()


def without_secrets(text: str) -> str:
    """A message in which the secrets of API keys are masked: it may repeat what somebody passed as an agent."""
    if "agent_" not in text:
        return text
    from ...agents.secret import mask_whole_secrets  # seldom needed

    return mask_whole_secrets(text)


def json_escape(character: str) -> str:
    """A character as JSON escapes it: `\\uXXXX`, or a pair of them beyond U+FFFF."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
