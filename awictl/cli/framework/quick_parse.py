"""Parse a plain, correct command line without Typer, whose import takes longer than most commands.

Everything else is left to Typer: help, usage errors, `--`, combined short options, whatever is not understood here.
So this module reports nothing, and decides nothing differently (`tests/unit/test_quick_parse.py` compares both).
"""

import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import EnumType
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

from .global_options import GlobalOptions
from .params import ParameterSpec

#: Stands for the default of a parameter that has none.
_REQUIRED = object()
#: Attributes of arguments and options that change what their values mean, and are known here.
_KNOWN = {"callback", "help", "max", "metavar", "min", "parser", "rich_help_panel", "show_default"}


class _NotPlainError(Exception):
    """Typer has to parse this command line."""


class _Param(NamedTuple):
    name: str
    spec: ParameterSpec
    #: Makes a value of a text, and raises an error of any kind if it cannot.
    convert: Callable[[str], Any]
    #: Whether the value is a list of converted texts.
    several: bool
    #: Whether it is an option without a value.
    flag: bool
    default: Any

    def value(self, texts: list[str]) -> Any:
        """What the command gets for the texts that were given. Raises errors of any kind."""
        value: Any
        if texts:
            value = [self.convert(one) for one in texts] if self.several else self.convert(texts[-1])
        elif self.default is _REQUIRED:
            raise _NotPlainError
        else:  # the default of an option with a parser may be a text
            value = self.convert(self.default) if isinstance(self.default, str) else self.default
        callback = self.spec.attributes.get("callback")
        return callback(value) if callback else value


def _param(name: str, annotation: Any, default: Any) -> _Param:
    """A parameter by its annotation. Raises _NotPlainError for a type or an attribute that is not known here."""
    kind, *rest = get_args(annotation)
    [spec] = rest or [None]
    if not isinstance(spec, ParameterSpec) or not spec.attributes.keys() <= _KNOWN:
        raise _NotPlainError
    if type(None) in (parts := get_args(kind)):
        [kind] = [one for one in parts if one is not type(None)]
    if several := get_origin(kind) is list:
        [kind] = get_args(kind)
    flag = kind is bool
    if flag and (spec.is_argument or default is not False or any("/" in one for one in spec.names)):
        raise _NotPlainError
    return _Param(name, spec, _converter(kind, spec.attributes), several, flag, default)


def _converter(kind: Any, attributes: Mapping[str, Any]) -> Callable[[str], Any]:
    if parser := attributes.get("parser"):
        return parser  # type: ignore[no-any-return]
    if kind in (int, float):
        return partial(_number, kind, attributes.get("min"), attributes.get("max"))
    if kind in (str, bool, Path) or isinstance(kind, EnumType):
        return kind  # type: ignore[no-any-return]  # a flag has the text "1"
    raise _NotPlainError


def _number(kind: Callable[[str], Any], least: float | None, most: float | None, text: str) -> Any:
    value = kind(text)
    if (least is not None and not value >= least) or (most is not None and not value <= most):
        raise _NotPlainError
    return value


class _Texts(NamedTuple):
    """The texts of a command line, by the names of the parameters."""

    of: dict[str, list[str]]
    words: list[str]
    #: What follows the first word, if only the options before it were asked for.
    rest: Sequence[str]


def _split(arguments: Sequence[str], params: Iterable[_Param], *, to_first_word: bool = False) -> _Texts:
    """Sort the arguments into options and words. Raises _NotPlainError."""
    options = {name: param for param in params for name in param.spec.names}
    texts: dict[str, list[str]] = {}
    words: list[str] = []
    left = iter(arguments)
    for one in left:
        if one == "-" or not one.startswith("-"):
            words.append(one)
            if to_first_word:
                break
            continue
        name, equals, text = one.partition("=") if one.startswith("--") else (one, "", "")
        param = options.get(name)
        if param is None or (param.flag and equals):
            raise _NotPlainError
        if not param.flag and not equals:
            text = next(left, "-")
            if text.startswith("-") and not text[1:2].isdigit():  # -5m is a moment
                raise _NotPlainError
        texts.setdefault(param.name, []).append("1" if param.flag else text)
    return _Texts(texts, words, list(left))


def _values(arguments: Sequence[str], params: Sequence[_Param]) -> dict[str, Any]:
    """The values of a command's parameters. Raises errors of any kind if Typer has to parse them."""
    found = _split(arguments, params)
    texts, words = found.of, found.words
    for param in params:
        if param.spec.is_argument:
            if param.several:
                texts[param.name], words = words, []
            else:
                texts[param.name], words = words[:1], words[1:]
    if words:
        raise _NotPlainError
    return {param.name: param.value(texts.get(param.name, [])) for param in params}


def _globals() -> list[_Param]:
    return [
        _param(name, annotation, default)
        for (name, annotation), default in zip(GlobalOptions.__annotations__.items(), GlobalOptions(), strict=True)
    ]


def _own(parse: Callable[..., Any]) -> list[_Param]:
    """The parameters of a command's function, but for the first, the context."""
    code, defaults = parse.__code__, parse.__defaults__ or ()
    names = code.co_varnames[1 : code.co_argcount]
    if code.co_kwonlyargcount:
        raise _NotPlainError
    missing = [_REQUIRED] * (len(names) - len(defaults))
    return [
        _param(name, parse.__annotations__[name], default)
        for name, default in zip(names, [*missing, *defaults], strict=True)
    ]


def quick_parse(arguments: Sequence[str], package: str, nouns: Iterable[str]) -> Callable[[], int] | None:
    """A function that runs the command and returns its exit code; None if Typer has to parse the arguments.

    `package`: has a package for each of the `nouns`, as `main.py` says.
    """
    if "" in arguments or "_AWICTL_COMPLETE" in os.environ:
        return None
    try:
        general = _globals()
        outer, noun, rest = _outer(GlobalOptions(), arguments, general, nouns)
        folder = importlib.import_module(f"{package}.{noun}")
        verb = "command"
        if verbs := getattr(folder, "COMMANDS", None):
            outer, verb, rest = _outer(outer, rest, general, verbs)
        spec = importlib.import_module(f"{folder.__name__}.{verb}").command
        values = _plain_values(rest, [*_own(spec.parse), *general])
    except _NotPlainError:
        return None
    return partial(spec.invoke, outer, values)


def _outer(
    outer: GlobalOptions, arguments: Sequence[str], params: Sequence[_Param], names: Iterable[str]
) -> tuple[GlobalOptions, str, Sequence[str]]:
    """The global options before a word that is one of `names`, the word, and what follows it."""
    found = _split(arguments, params, to_first_word=True)
    if not found.words or found.words[0] not in names:
        raise _NotPlainError
    before = arguments[: len(arguments) - len(found.rest) - 1]
    options = GlobalOptions(**_plain_values(before, params))
    return options.over(outer), found.words[0], found.rest


def _plain_values(arguments: Sequence[str], params: Sequence[_Param]) -> dict[str, Any]:
    """As `_values`. Raises only _NotPlainError: whatever is wrong with a value, Typer finds and reports it."""
    try:
        return _values(arguments, params)
    except Exception as error:
        raise _NotPlainError from error
