"""Count tokens with a vocabulary of splintr-rs (the extra `bench`), which has them in its wheel."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ...errors import AwiError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Vocabulary(StrEnum):
    """A vocabulary whose ids are known here, so that it can be checked."""

    #: Of GPT-4o and later models of OpenAI.
    O200K_BASE = "o200k_base"
    #: Of GPT-4 and GPT-3.5.
    CL100K_BASE = "cl100k_base"


#: Texts and their token ids. A wrong vocabulary or a wrong way to split the text does not fail: it only gives other
#: numbers. The first three are OpenAI's own examples ("How to count tokens with tiktoken" in its cookbook). The others
#: were computed with another implementation, gpt-tokenizer 4.0.0 from npm. On 2026-11-27 that gave the same ids as
#: splintr-rs 0.22.0 for 257 of the 258 pages of `benchmarks/tokens.py`, and 2 more of 45,016 tokens for the last one.
KNOWN_IDS: Mapping[Vocabulary, Mapping[str, Sequence[int]]] = {
    Vocabulary.O200K_BASE: {
        "antidisestablishmentarianism": (493, 129901, 376, 160388, 21203, 2367),
        "2 + 2 = 4": (17, 659, 220, 17, 314, 220, 19),
        "お誕生日おめでとう": (8930, 9697, 243, 128225, 8930, 17693, 4344, 48669),
        "tiktoken is great!": (83, 8251, 2488, 382, 2212, 0),
        "<|endoftext|>": (27, 91, 419, 1440, 919, 91, 29),
    },
    Vocabulary.CL100K_BASE: {
        "antidisestablishmentarianism": (519, 85342, 34500, 479, 8997, 2191),
        "2 + 2 = 4": (17, 489, 220, 17, 284, 220, 19),
        "お誕生日おめでとう": (33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699),
        "tiktoken is great!": (83, 1609, 5963, 374, 2294, 0),
        "<|endoftext|>": (27, 91, 8862, 728, 428, 91, 29),
    },
}


#: Maximum length of the text that is encoded at once, in characters. splintr-rs holds the GIL meanwhile, so that Ctrl-C
#: has to wait, and takes long for very long runs of spaces.
PIECE = 65_536


class TokenCounter:
    """Counts the tokens of texts."""

    def __init__(self, vocabulary: Vocabulary = Vocabulary.O200K_BASE) -> None:
        """Load the vocabulary. Raises InvalidInput without the extra `bench`; AwiError if it has other ids."""
        try:
            import splintr
        except ModuleNotFoundError:
            raise InvalidInput(
                "counting tokens requires the package splintr-rs; install it with `pip install 'awictl[bench]'`"
            ) from None
        self.vocabulary = vocabulary
        # a page may spell out special tokens, such as <|endoftext|>: they are text there
        self._encode = splintr.Tokenizer.from_pretrained(vocabulary.value).encode_ordinary
        for text, ids in KNOWN_IDS[vocabulary].items():
            if (found := self._encode(text)) != list(ids):
                raise AwiError(
                    f"{vocabulary} of splintr-rs {splintr.__version__} encodes {text!r} as {found} instead of"
                    f" {list(ids)}, so nothing was counted; install another version of splintr-rs"
                )

    def count(self, text: str | bytes) -> int:
        """The number of tokens of a text. Bytes are UTF-8; those that are not count as the replacement character."""
        if isinstance(text, str):
            text = text.encode(errors="surrogatepass")
        return sum(len(self._encode(piece)) for piece in pieces(text.decode(errors="replace")))


def pieces(text: str) -> Iterator[str]:
    """Divide a text into pieces of at most PIECE characters, so that their tokens add up to those of the text.

    Both vocabularies divide a text between a letter and the space or the tag that follows, before anything else. A text
    without such a place is cut anyway, which may change the count by a token or two.
    """
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        cuts = (i for i in range(end, end - PIECE // 2, -1) if text[i] in " <" and _is_letter(text[i - 1]))
        end = next(cuts, end)
        yield text[start:end]
        start = end
    yield text[start:]


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()
