"""Lists of network addresses: `HOST:PORT,HOST:PORT`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

#: A host name, an IPv4 address or an IPv6 address in brackets, and perhaps a port.
_ADDRESS = re.compile(r"(?:\[(?P<ip>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s\[\]:/@?#,]+))(?::(?P<port>[0-9]{1,5}))?")
_BARE_IP6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")
_LOCAL = ("localhost", "127.0.0.1", "::1")


def parse_addresses(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    """Return the (host, port) pairs in a list separated by commas, each once.

    An IPv6 address stands in brackets if a port follows. Raises ValueError, which does not contain the text.
    """
    found = []
    for one in text.split(","):
        one = one.strip()
        match = _ADDRESS.fullmatch(f"[{one}]" if _BARE_IP6.fullmatch(one) else one)
        port = int(match["port"] or default_port) if match else 0
        if match is None or not 1 <= port <= 65535:
            raise ValueError("is not a list of HOST:PORT, separated by commas")
        found.append((match["ip"] or match["host"], port))
    return tuple(dict.fromkeys(found))


def join_addresses(addresses: Iterable[tuple[str, int]]) -> str:
    """Return `HOST:PORT,HOST:PORT`, with IPv6 addresses in brackets."""
    return ",".join(f"{in_brackets(host)}:{port}" for host, port in addresses)


def in_brackets(host: str) -> str:
    """Return a host as it is written in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def addresses(default_port: int) -> Callable[[Any], str]:
    """Return a converter to a list of `HOST:PORT`, from text or from a list of texts; see `util.converters`.

    Empty text means none.
    """

    def convert(value: Any) -> str:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in values):
            raise ValueError("is not a list of HOST:PORT, separated by commas")
        text = ",".join(values)
        return join_addresses(parse_addresses(text, default_port)) if text else ""

    return convert


def canonical_host(host: str) -> str:
    """Return a host's name for comparison: in lower case, and `localhost` for every name of the local host."""
    return "localhost" if host in _LOCAL else host.lower()


def canonical_list(addresses: Iterable[tuple[str, int]]) -> str:
    """Return a list of addresses for comparison: the same whatever their order and upper or lower case."""
    return join_addresses(sorted({(canonical_host(host), port) for host, port in addresses}))
