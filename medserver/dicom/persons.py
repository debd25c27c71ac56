"""Person names (PS3.5 6.2.1) in the form in which they are compared.

PS3.4 C.2.2.2.1.1 leaves it to the node how literally a PN matches. Here case, accents, widths of characters
and spacing do not count, letters do: *MÜLLER* is *Muller* and half-width ﾔﾏﾀﾞ is ヤマダ, but だ is not た. A
normalised name is made for comparison only; what a peer sent is kept and returned as it was.
"""

from __future__ import annotations

import re
import unicodedata

_COMPONENT_GROUPS = 3

# Combining marks that are accents of Latin, Greek and Cyrillic letters. Marks of other scripts (the voicing
# marks of kana, the vowels of Thai) make other letters and stay.
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")

# Letters and signs that Unicode does not decompose, but that are written without their stroke, ligature or
# curl wherever only ASCII is at hand.
_PLAIN_LETTERS = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
    "’": "'", "‘": "'", "ʼ": "'", "‐": "-", "–": "-",
})

_DELIMITERS_AND_WILD_CARDS = frozenset("^=*?\\")


def component_groups(text: str) -> tuple[str, str, str]:
    """Split a person name at its ``=``.

    Parameters
    ----------
    text : str
        One value of a PN. What follows a third ``=`` is ignored.

    Returns
    -------
    tuple of str, length 3
        The alphabetic, ideographic and phonetic component group, as they stand; empty if absent.
    """
    groups = text.split("=")[:_COMPONENT_GROUPS]
    alphabetic, ideographic, phonetic = groups + [""] * (_COMPONENT_GROUPS - len(groups))
    return alphabetic, ideographic, phonetic


def normalised_groups(text: str) -> tuple[str, str, str]:
    """Normalise each component group of a person name, or of a pattern for one.

    Values and patterns are normalised alike, so that they can be compared as text. ``*`` and ``?`` come
    through as they are, and no other character becomes one of them.

    Parameters
    ----------
    text : str
        One value of a PN.

    Returns
    -------
    tuple of str, length 3
        The alphabetic, ideographic and phonetic group: case folded, without accents, without trailing ``^``,
        every run of spaces a single one and none around a ``^``. Empty if absent.
    """
    alphabetic, ideographic, phonetic = component_groups(text)
    return _normalise_group(alphabetic), _normalise_group(ideographic), _normalise_group(phonetic)


def normalise_person_name(text: str) -> str:
    """Normalise a whole person name.

    Parameters
    ----------
    text : str
        One value of a PN.

    Returns
    -------
    str
        The groups of `normalised_groups` joined by ``=``, without a trailing ``=``. Empty for an empty name.
    """
    return "=".join(normalised_groups(text)).rstrip("=")


def unaccent(text: str) -> str:
    """Fold case, accents and compatibility forms of a text.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Composed (NFC), so that one syllable of hangul remains one character for ``?``. Applying it again
        changes nothing.
    """
    if text.isascii():
        return text.lower()
    # Twice for the few characters whose folded form has accents of its own.
    while (folded := _unaccent_once(text)) != text:
        text = folded
    return text


def _unaccent_once(text: str) -> str:
    plain = "".join(map(_decompose, text)).casefold().translate(_PLAIN_LETTERS)
    return unicodedata.normalize("NFC", _ACCENTS.sub("", plain))


def _decompose(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", character)
    # A full-width ＊ or ＝ in a name is text, and must not turn into a wild card or a delimiter.
    return character if _DELIMITERS_AND_WILD_CARDS.intersection(decomposed) else decomposed


def _normalise_group(group: str) -> str:
    components = unaccent(group.replace("\0", " ")).split("^")
    return "^".join(" ".join(component.split()) for component in components).rstrip("^")
