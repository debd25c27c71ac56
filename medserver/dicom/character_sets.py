"""Text of data elements: decoding what peers send, and choosing a character set for what is sent to them.

Specific Character Set (0008,0005) names the repertoires (PS3.3 C.12.1.1.2), PS3.5 6.1 tells how they are
encoded. The tables of both are pydicom's; the decoder is our own, because pydicom's takes the name of any
Python codec from the peer, and gives a warning for each fragment that it cannot decode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, ENCODINGS_TO_CODES, python_encoding

from medserver.dicom.representations import DEFAULT_REPERTOIRE_VRS, LEADING_SPACE_VRS, UNDIVIDED_VRS

# Latin alphabet No. 9 is in PS3.3 tables C.12-2 and C.12-3, and pydicom 3 leaves it out. Its functions have to know it
# too: they say what the character set of a data set is that they have read, and write texts.
_LATIN_9, _ESCAPE_TO_LATIN_9 = "iso8859_15", b"\x1b-b"
python_encoding.update({"ISO_IR 203": _LATIN_9, "ISO 2022 IR 203": _LATIN_9})
CODES_TO_ENCODINGS[_ESCAPE_TO_LATIN_9] = _LATIN_9
ENCODINGS_TO_CODES[_LATIN_9] = _ESCAPE_TO_LATIN_9

SPECIFIC_CHARACTER_SET = 0x00080005
"""The tag."""

DEFAULT_REPERTOIRE = ""
UNICODE_UTF_8 = "ISO_IR 192"

SINGLE_BYTE_CHARACTER_SETS = (
    "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127",
    "ISO_IR 126", "ISO_IR 138", "ISO_IR 148", "ISO_IR 13", "ISO_IR 166",
)
"""The sets to try, in this order, before UTF-8, which old receivers cannot read."""

_STAND_ALONE = frozenset({"ISO_IR 192", "GB18030", "GBK"})
"""Sets that are never combined with others (PS3.3 C.12.1.1.2)."""

_MULTI_BYTE = frozenset({
    "ISO 2022 IR 58", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 159", "ISO 2022 58", "ISO 2022 GBK",
})
"""Sets that are there for value 2 and those after it (PS3.3 C.12.1.1.2): only an escape sequence begins them."""

_SPECIFIC_CHARACTER_SET_MAX_BYTES = 512
"""There are some 30 defined terms of at most 16 characters."""

_PADDING = " \x00"
_DECODER_OF_DEFAULT = python_encoding[""]
_KNOWN_CODECS = frozenset(python_encoding.values())
_STAND_ALONE_CODECS = frozenset(python_encoding[term] for term in _STAND_ALONE)
_JIS_X_0201 = python_encoding["ISO_IR 13"]
_ESCAPE_AWARE = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Codecs that read escape sequences themselves."""

_ESCAPE = b"\x1b"
_ESCAPED_FRAGMENT = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_FOUR_BYTE_ESCAPES = (b"\x1b$(", b"\x1b$)")
_TEXT_DELIMITER = re.compile(rb"[\\\t\n\f\r]")
_NAME_DELIMITER = re.compile(rb"[\\^=\t\n\f\r]")
_NAME_PARTS = re.compile(r"[\\^=]")
_MISSPELT = re.compile(r"ISO[ _-]?(2022)?[ _-]?IR[ _-]?([0-9]+)")


def read_specific_character_set(raw: bytes) -> tuple[str, ...]:
    """Read Specific Character Set (0008,0005), so that nobody obeys what a peer has put there.

    Parameters
    ----------
    raw : bytes
        The value as encoded.

    Returns
    -------
    tuple of str
        Defined terms only, misspelt ones put right: the default repertoire (an empty text) stands in the place of
        one that is not known. pydicom would take such a term for the name of a Python codec, of which some are
        quadratic and some give no text at all. What stands beyond the length of all defined terms is ignored.

    References
    ----------
    PS3.3 C.12.1.1.2
    """
    return _terms(bytes(raw[:_SPECIFIC_CHARACTER_SET_MAX_BYTES]))


@lru_cache(maxsize=256)
def _terms(raw: bytes) -> tuple[str, ...]:
    return tuple(_spelt_right(term) for term in raw.decode(_DECODER_OF_DEFAULT).split("\\"))


def python_codecs(specific_character_set: Sequence[str]) -> list[str]:
    """Return the names under which Python knows a Specific Character Set, for the functions of pydicom.

    pydicom's own `convert_encodings` takes the name of any Python codec for a character set, also of such as take
    time with the square of a text's length.

    Parameters
    ----------
    specific_character_set : sequence of str
        The values of Specific Character Set; what is not a defined term counts as the default repertoire.
    """
    return list(_codecs(tuple(specific_character_set)))


def decode_text(raw: bytes, vr: str, specific_character_set: Sequence[str]) -> str:
    """Decode the value of an element with a text VR.

    Parameters
    ----------
    raw : bytes
        The value as encoded, with its padding.
    vr : str
        The VR from the data dictionary if the encoding does not tell it.
    specific_character_set : sequence of str
        The values of Specific Character Set; empty for the default repertoire.

    Returns
    -------
    str
        The value without padding, several values with a backslash between them. What cannot be decoded is
        replaced by U+FFFD.
    """
    text = decode_value(raw, vr, _codecs(tuple(specific_character_set)))
    if vr in UNDIVIDED_VRS or "\\" not in text:
        return _unpad(text, vr)
    return "\\".join(_unpad(value, vr) for value in text.split("\\"))


def decode_value(raw: bytes, vr: str, codecs: Sequence[str]) -> str:
    """Decode the value of an element with a text VR by codecs, as `python_codecs` gives them.

    Parameters
    ----------
    raw : bytes
        The value as encoded, with its padding.
    vr : str
        The VR.
    codecs : sequence of str
        The first is for what has no escape sequence before it. One that is no character set of the standard counts as
        the default repertoire.

    Returns
    -------
    str
        The value without the padding at its end.
    """
    if vr in DEFAULT_REPERTOIRE_VRS or raw.isascii() and _ESCAPE not in raw:
        return raw.decode(_DECODER_OF_DEFAULT).rstrip(_PADDING)
    codec = codecs[0] if codecs and codecs[0] in _KNOWN_CODECS else _DECODER_OF_DEFAULT
    if _ESCAPE in raw and codec not in _STAND_ALONE_CODECS:
        text = _decode_fragments(raw, codec, _NAME_DELIMITER if vr == "PN" else _TEXT_DELIMITER)
    else:
        text = raw.decode(codec, "replace")
    return text.rstrip(_PADDING)


def can_represent(text: str, character_set: str) -> bool:
    """Tell whether a text can be encoded in a character set without loss.

    Parameters
    ----------
    text : str
        Several values may have a backslash between them.
    character_set : str
        A defined term of Specific Character Set, or several with a backslash between them (code extensions).
    """
    codecs = _codecs(tuple(character_set.split("\\")))
    if len(codecs) > 1:
        return all(any(_encodes(character, codec) for codec in codecs) for character in set(text))
    if codecs[0] != _JIS_X_0201:
        return _encodes(text, codecs[0])
    # pydicom writes a name part in one half of JIS X 0201, Roman letters or Katakana, and cannot mix them.
    return all(_encodes_in_half_of_jis_x_0201(part) for part in _NAME_PARTS.split(text))


def character_set_for(values: Iterable[str], requested: Sequence[str] = ()) -> str:
    """Choose a character set that can represent all values.

    Parameters
    ----------
    values : iterable of str
        The texts of one answer.
    requested : sequence of str
        The Specific Character Set of the request. It is preferred, since the peer can read it.

    Returns
    -------
    str
        A value for Specific Character Set: empty for the default repertoire, several terms with a backslash
        between them.

    References
    ----------
    PS3.4 C.4.1.1.3
    """
    texts = [value for value in values if value]
    asked = ("\\".join(requested),) if is_usable(requested) else ()
    for candidate in (*asked, DEFAULT_REPERTOIRE, *SINGLE_BYTE_CHARACTER_SETS):
        if all(can_represent(text, candidate) for text in texts):
            return candidate
    return UNICODE_UTF_8


def is_usable(terms: Sequence[str]) -> bool:
    """Tell whether a Specific Character Set is one that an answer may be given in (PS3.3 C.12.1.1.2).

    One that begins with a set of several bytes is not: it could be written with escape sequences only
    (PS3.5 6.1.2.5), which whoever asks so does not expect.

    Parameters
    ----------
    terms : sequence of str
        Its values.
    """
    if not terms or terms[0] in _MULTI_BYTE:
        return False
    if len(terms) == 1:
        return terms[0] in python_encoding
    extensions = [term for term in terms if term]
    return bool(extensions) and all(
        term in python_encoding and term.startswith("ISO 2022") for term in extensions
    )


@lru_cache(maxsize=64)
def _codecs(terms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the Python codecs of a Specific Character Set, first the one that needs no escape sequence."""
    spelt = [_spelt_right(term) for term in terms] or [DEFAULT_REPERTOIRE]
    if spelt[0] in _STAND_ALONE:
        del spelt[1:]
    return tuple(python_encoding[term] for term in spelt if term == spelt[0] or term not in _STAND_ALONE)


def _spelt_right(term: str) -> str:
    """Return the defined term that is meant; the default repertoire for one that is not known."""
    term = term.strip(_PADDING).upper()
    if term in python_encoding:
        return term
    if term in ("UTF-8", "UTF8"):
        return UNICODE_UTF_8
    misspelt = _MISSPELT.fullmatch(term)
    if misspelt is None:
        return DEFAULT_REPERTOIRE
    # Some sets have a term with code extensions only, some one without only: ISO_IR 149, ISO 2022 IR 192.
    spellings = [prefix + misspelt[2] for prefix in ("ISO_IR ", "ISO 2022 IR ")]
    if misspelt[1]:
        spellings.reverse()
    return next((spelling for spelling in spellings if spelling in python_encoding), DEFAULT_REPERTOIRE)


def _decode_fragments(raw: bytes, first_codec: str, delimiter: re.Pattern[bytes]) -> str:
    """Decode text with escape sequences (PS3.5 6.1.2.5).

    Each sequence that the standard knows is followed, even if Specific Character Set does not announce it.
    """
    return "".join(
        _decode_fragment(fragment, first_codec, delimiter) for fragment in _ESCAPED_FRAGMENT.findall(raw)
    )


def _decode_fragment(fragment: bytes, first_codec: str, delimiter: re.Pattern[bytes]) -> str:
    if not fragment.startswith(_ESCAPE):
        return fragment.decode(first_codec, "replace")
    size = 4 if fragment.startswith(_FOUR_BYTE_ESCAPES) else 3
    codec = CODES_TO_ENCODINGS.get(fragment[:size])
    if codec is None:
        return fragment[1:].decode(first_codec, "replace")
    if codec in _ESCAPE_AWARE:
        return fragment.decode(codec, "replace")
    text = fragment[size:]
    end = delimiter.search(text)
    if end is None:
        return text.decode(codec, "replace")
    # A delimiter brings the first character set back (PS3.5 6.1.2.5.3).
    return text[: end.start()].decode(codec, "replace") + text[end.start() :].decode(first_codec, "replace")


def _unpad(text: str, vr: str) -> str:
    return text.rstrip(_PADDING) if vr in LEADING_SPACE_VRS else text.strip(_PADDING)


def _encodes(text: str, codec: str) -> bool:
    if codec == _DECODER_OF_DEFAULT:
        # It reads Latin-1, because peers send it without saying so; it writes what the standard says.
        return text.isascii()
    try:
        encoded = text.encode(codec)
    except UnicodeEncodeError:
        return False
    return codec != _JIS_X_0201 or len(encoded) == len(text)


def _encodes_in_half_of_jis_x_0201(text: str) -> bool:
    if not _encodes(text, _JIS_X_0201):
        return False
    encoded = text.encode(_JIS_X_0201)
    return encoded.isascii() or all(byte > 0x7F for byte in encoded)
