"""What a query asks of an attribute: the kinds of matching of PS3.4 C.2.2.2, one dataclass each.

`keys.parse_key` makes them from an identifier; `matching.matches` says what each means; the index translates
them to SQL. All texts in here are normalised by `values.normalise_value`, so that they compare with
normalised columns.

==================  =======================================================================================
`SingleValue`       PS3.4 C.2.2.2.1
`UIDList`           PS3.4 C.2.2.2.2
(None)              PS3.4 C.2.2.2.3, universal matching: there is no condition
`WildCard`          PS3.4 C.2.2.2.4
`Range`             PS3.4 C.2.2.2.5, and every single date and time
`CombinedRange`     PS3.4 C.2.2.2.5, a date and a time as one moment
`SequenceMatch`     PS3.4 C.2.2.2.6
`PersonNameMatch`   PS3.4 C.2.2.2.1 and C.2.2.2.4 for names
`AnyOf`             several alternatives for one attribute
==================  =======================================================================================

An attribute with several values fulfils a condition when one of its values does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SingleValue:
    """The attribute has exactly this value.

    Parameters
    ----------
    keyword : str
        The attribute.
    value : str
        The normalised value: without insignificant spaces, numbers (IS, DS, US ...) in their shortest form.
    """

    keyword: str
    value: str


@dataclass(frozen=True, slots=True)
class UIDList:
    """The attribute is one of these UIDs.

    Parameters
    ----------
    keyword : str
        An attribute of VR UI.
    values : tuple of str
        One or more UIDs, without repetition, in the order of the query. May be long.
    """

    keyword: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WildCard:
    r"""The attribute fits a pattern.

    Parameters
    ----------
    keyword : str
        An attribute of a VR that allows wild cards; never PN.
    pattern : str
        ``*`` stands for any number of characters, ``?`` for exactly one, everything else (``%``, ``_``,
        ``[``, ``\`` too) for itself. Case-sensitive.
    """

    keyword: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """The attribute lies between two bounds, both included.

    Parameters
    ----------
    keyword : str
        An attribute of VR DA, TM or DT.
    first, last : str or None
        Normalised dates ``YYYYMMDD``, times ``HHMMSS.FFFFFF`` or moments ``YYYYMMDDHHMMSS.FFFFFF``, which
        compare as text. None for an open end; at least one is given. A TM may end before it begins until
        `keys.combine_date_times` has joined it with its date.
    single : bool
        Whether the query asked for a single value. It means the same as the range from the first to the last
        moment of that value, but is never joined into a `CombinedRange`.
    """

    keyword: str
    first: str | None
    last: str | None
    single: bool = False


@dataclass(frozen=True, slots=True)
class CombinedRange:
    """A date and a time, taken together as one moment, lie between two moments, both included.

    Parameters
    ----------
    date_keyword, time_keyword : str
        The pair, for instance ``StudyDate`` and ``StudyTime``.
    first, last : tuple of (str, str), or None
        Normalised date and time of each bound. None for an open end; at least one is given.
    """

    date_keyword: str
    time_keyword: str
    first: tuple[str, str] | None
    last: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class PersonNameMatch:
    """A person name fits, without regard to case and accents.

    Either `any_group` is given, and one of the three component groups of the name must fit it; or `groups`,
    and each group that has a pattern must fit it.

    Parameters
    ----------
    keyword : str
        An attribute of VR PN.
    any_group : str or None
        A normalised pattern, with ``*`` and ``?`` as in `WildCard`.
    groups : tuple of (str or None), length 3
        Normalised patterns for the alphabetic, ideographic and phonetic group; None for universal matching.
    """

    keyword: str
    any_group: str | None = None
    groups: tuple[str | None, str | None, str | None] = (None, None, None)


@dataclass(frozen=True, slots=True)
class SequenceMatch:
    """One item of the sequence fulfils all conditions.

    Parameters
    ----------
    keyword : str
        An attribute of VR SQ.
    conditions : tuple of Condition
        One or more, on the attributes of an item.
    """

    keyword: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several conditions on the same attribute is fulfilled.

    Parameters
    ----------
    keyword : str
        The attribute, the same as that of every condition.
    conditions : tuple of Condition
        Two or more of `SingleValue`, `WildCard`, `Range` and `PersonNameMatch`; never nested.

    Notes
    -----
    It comes from a key with several values, whose meaning PS3.4 C.2.2.2.8 leaves open as long as Multiple
    Value Matching is not negotiated, and from a name pattern that says less than it seems to.
    """

    keyword: str
    conditions: tuple[Condition, ...]


Condition = SingleValue | UIDList | WildCard | Range | CombinedRange | PersonNameMatch | SequenceMatch | AnyOf
"""Any of the above."""
