"""Values of attributes in the form in which they are compared (PS3.4 C.2.2.2).

The same function normalises the values of a query and those of the index, so that a database can compare them
as text. Names are in `persons`, dates and times in `dates`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from medserver.dicom import dates, persons
from medserver.dicom.representations import LEADING_SPACE_VRS, NUMBER_VRS, UNDIVIDED_VRS

_PADDING = " \0"
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# What Decimal keeps exactly by default; a DS has 16 characters.
_NUMBER_LENGTH_MAX = 28
_PLAIN_EXPONENT_MAX = 20


def split_values(vr: str, value: object) -> list[str]:
    r"""Return the single values of an attribute as text.

    Parameters
    ----------
    vr : str
        The Value Representation, not SQ.
    value : object
        None, a text (with ``\`` between the values), a number, or a sequence of texts and numbers.

    Returns
    -------
    list of str
        Without padding, in the order given; empty values are left out.
    """
    if value is None:
        return []
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        texts = [value] if vr in UNDIVIDED_VRS else value.split("\\")
    elif isinstance(value, Sequence):
        texts = ["" if single is None else str(single) for single in value]
    else:
        texts = [str(value)]
    return [stripped for text in texts if (stripped := strip_padding(vr, text))]


def strip_padding(vr: str, text: str) -> str:
    """Remove the spaces (and nulls) that are not significant.

    Parameters
    ----------
    vr : str
        The Value Representation: leading spaces count in LT, ST, UC, UR and UT.
    text : str
        A single value.

    Returns
    -------
    str
        The value without padding.

    References
    ----------
    PS3.5 6.2
    """
    return text.rstrip(_PADDING) if vr in LEADING_SPACE_VRS else text.strip(_PADDING)


def normalise_number(text: str) -> str:
    """Write a number in its shortest form.

    Parameters
    ----------
    text : str
        A DS or IS, or a binary number as text: ``007``, ``+1.50``, ``15E-1``.

    Returns
    -------
    str
        For instance ``7``, ``1.5``, ``1.5``: equal numbers give equal texts. A text that is not a number is
        returned without its padding.
    """
    stripped = text.strip(_PADDING)
    if len(stripped) > _NUMBER_LENGTH_MAX or _NUMBER.fullmatch(stripped) is None:
        return stripped
    if len(stripped) <= _PLAIN_EXPONENT_MAX and stripped.isdecimal():
        return stripped.lstrip("0") or "0"
    number = Decimal(stripped).normalize()
    if number.is_zero():
        return "0"
    exponent = number.as_tuple().exponent
    plain = isinstance(exponent, int) and abs(exponent) <= _PLAIN_EXPONENT_MAX
    return format(number, "f") if plain else str(number)


def normalise_value(vr: str, text: str) -> str | None:
    """Bring a single value into the form in which it is compared.

    Parameters
    ----------
    vr : str
        The Value Representation, not SQ.
    text : str
        A single value, decoded.

    Returns
    -------
    str or None
        None if nothing is left, or if it is not a date or time where one should stand: such a value matches
        no condition.
    """
    if vr == "PN":
        return persons.normalise_person_name(text) or None
    if vr == "DA":
        return dates.normalise_date(text)
    if vr == "TM":
        return dates.normalise_time(text)
    if vr == "DT":
        return dates.normalise_date_time(text)
    if vr in NUMBER_VRS:
        return normalise_number(text) or None
    return strip_padding(vr, text) or None
