"""Text that others wrote, as a terminal or a log may be given it: nothing in it moves the cursor or turns the line."""

from __future__ import annotations

import unicodedata

# Controls, formats (which reverse a line), lone surrogates, separators of lines and paragraphs, and what means nothing.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
JOINERS = "\u200c\u200d"  # Persian and emoji are spelled with them, and they move nothing


def make_printable(text: object, keep: str = "") -> str:
    r"""Returns the text with what does not print made visible, as \x1b. keep: what stays, as "\n" for lines."""
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if _prints(sign) or sign in keep else _shown(sign) for sign in text)


def _prints(sign: str) -> bool:
    return sign in JOINERS or unicodedata.category(sign) not in HIDDEN


def _shown(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
