"""Output formats: their names, and the encoders of YAML and CSV, and of what jq makes of JSON."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cache, partial
from typing import Any

from ...errors import InvalidInput
from .escape import printable
from .stdout import dumps, is_terminal


class Format(StrEnum):
    """Output format of a command."""

    TABLE = "table"
    #: A table with all its columns, of which nothing is cut or dropped.
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    CSV = "csv"
    IDS = "ids"
    RAW = "raw"


#: The formats of every command that prints data, and those that commands which print rows have besides.
COMMON = (Format.TABLE, Format.JSON, Format.JSONL, Format.YAML)
LISTING = (Format.WIDE, Format.CSV)
TABLES = (Format.TABLE, Format.WIDE)
#: Line width for YAML in characters: long strings stay in one line.
_NO_WRAPPING = 1 << 30
#: A string that no version of YAML takes for anything else, and that needs no quotes.
_PLAIN = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_][A-Za-z0-9_./ -]*(?<! )", re.ASCII | re.IGNORECASE
)


def missing_extra(option: str, package: str, extra: str) -> InvalidInput:
    """The error for an option whose package is not installed."""
    return InvalidInput(f"{option} requires the package {package}; install it with `pip install 'awictl[{extra}]'`")


def yaml_document(value: Any) -> bytes:
    """Encode as YAML that means the same in YAML 1.1 and 1.2. Raises InvalidInput if PyYAML is not installed."""
    import json

    dump = _yaml_dump()
    try:
        plain = json.loads(dumps(value))  # subclasses of str, tuples and the like as JSON has them
        text = dump(plain, allow_unicode=True)
        if not text.replace("\n", "").isprintable():  # control characters stay escaped, also in a pipe
            text = dump(plain, allow_unicode=False)
    except RecursionError:
        raise InvalidInput("-o yaml: the data is nested too deeply; use -o json") from None
    return text.removesuffix("...\n").encode()


@cache
def _yaml_dump() -> Callable[..., str]:
    """The encoder of YAML; made once. Raises InvalidInput if PyYAML is not installed."""
    try:
        import yaml
    except ModuleNotFoundError:
        raise missing_extra("-o yaml", "PyYAML", "yaml") from None

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # it has no types
        def ignore_aliases(self, data: Any) -> bool:
            return True  # a repeated value is written out

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = None if _PLAIN.fullmatch(text) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent_text)
    return partial(yaml.dump, Dumper=Dumper, sort_keys=False, width=_NO_WRAPPING)


class CsvRows:
    """Encodes rows as CSV (RFC 4180, with newlines as line ends), with a line of the field names first.

    Values are data: text stays as it is, also if it starts with = + - or @; None is empty; objects and arrays are JSON.
    Only on a terminal control characters are escaped.
    """

    def __init__(self, fields: Sequence[str] | None, may_have: Sequence[str]) -> None:
        self._fields = list(fields) if fields is not None else None
        self._may_have = list(may_have)
        self._started = False

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Some rows; the fields are those of the first batch, and those that later rows may have.

        Without rows, the line of the field names, if they are known and were not encoded yet.
        """
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if (rows or self._fields is not None) and not self._started:
            self._fields = self._fields or list(dict.fromkeys([name for row in rows for name in row] + self._may_have))
            writer.writerow(map(_csv_value, self._fields))
            self._started = True
        writer.writerows([_csv_value(row.get(name)) for name in self._fields or ()] for row in rows)
        return text.getvalue().encode("utf-8", "backslashreplace")


def _csv_value(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else dumps(value).decode()
    return printable(text) if is_terminal(sys.stdout) else text  # a line break in a cell would look like a row


class JqFilter:
    """A compiled jq expression. Raises InvalidInput if the package jq is not installed, or the expression is wrong."""

    def __init__(self, expression: str) -> None:
        try:
            import jq
        except ModuleNotFoundError:
            raise missing_extra("--jq", "jq", "jq") from None
        try:
            self._program = jq.compile(expression)
        except ValueError as error:
            raise InvalidInput(f"--jq: {_first_line(error)}") from None

    def lines(self, encoded: bytes, hint: str = "") -> Iterator[bytes]:
        """The results for a JSON text, as `jq -rc` prints them: strings without quotes, others as compact JSON.

        `hint`: follows the message of an error.
        """
        text = encoded.decode("utf-8", "replace")
        if "\\ud" in text.lower():  # jq refuses lone surrogates
            import json

            text = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode()
        results = iter(self._program.input_text(text))
        while True:
            try:
                with _ended_by_sigint():
                    result = next(results)
            except StopIteration:
                return
            except ValueError as error:
                raise InvalidInput(f"--jq: {_first_line(error)}{hint}") from None
            yield result.encode("utf-8", "backslashreplace") if isinstance(result, str) else dumps(result)


@contextmanager
def _ended_by_sigint() -> Iterator[None]:
    """Let SIGINT end the process at once: jq may compute forever, without returning to Python's signal handlers."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "jq reports an error").removeprefix("jq: ").removeprefix("error: ")
