"""What the rules of config.ini say of an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver.config import CALLING_AE_TITLE, Config, Route
from medserver.dicom import uids
from medserver.dicom.dataset_values import value_of
from medserver.dicom.matching import matches
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.routing.outbox import kind_of

_CONDITIONS = (*uids.PERFORMED_PROCEDURE_PROTOCOLS, uids.MODALITY_PERFORMED_PROCEDURE_STEP)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a rule, and what became of it.

    Parameters
    ----------
    keyword, wanted : str
        As the rule has it.
    is_fulfilled : bool
        Whether the instance fulfils it.
    """

    keyword: str
    wanted: str
    is_fulfilled: bool


def checks(rule: Route, header: Dataset, calling_ae_title: str) -> Iterator[Check]:
    """Yield what each condition of a rule says of an instance.

    Parameters
    ----------
    rule : Route
        The rule.
    header : Dataset
        The attributes of the instance, at least those that `tags_of` names.
    calling_ae_title : str
        Who sent it; empty if nobody knows.
    """
    for keyword, wanted, condition in rule.conditions:
        value = calling_ae_title if keyword == CALLING_AE_TITLE else _value(header, keyword)
        yield Check(keyword, wanted, matches(condition, value))
    if rule.send == "conditions":
        yield Check("SOPClassUID", "a performed protocol", _value(header, "SOPClassUID") in _CONDITIONS)


def _value(header: Dataset, keyword: str) -> None | str | list[str] | list[dict]:
    """Return a value; what cannot be decoded is none, and fulfils no condition that wants one."""
    try:
        return value_of(header, keyword)
    except PYDICOM_ERRORS:
        return None


def tags_of(rules: Iterable[Route]) -> frozenset[int]:
    """Return the tags of the attributes by which rules decide, ``group << 16 | element``."""
    keywords = set()
    for rule in rules:
        keywords.update(keyword for keyword, _, _ in rule.conditions if keyword != CALLING_AE_TITLE)
        if rule.send == "conditions":
            keywords.add("SOPClassUID")
    return frozenset(filter(None, map(tag_for_keyword, keywords)))


def wants(rule: Route, header: Dataset, calling_ae_title: str) -> bool:
    """Tell whether an instance fulfils all conditions of a rule."""
    return all(check.is_fulfilled for check in checks(rule, header, calling_ae_title))


def wanted_by(
    config: Config, header: Dataset, calling_ae_title: str, kind_of: Callable[[Route], str | None] = kind_of
) -> Iterator[tuple[str, Route]]:
    """Yield each destination of something with the first rule that names it; those that are only told apart.

    It does not go back to the AE that it came from: two nodes that send each other what they receive would never end.

    Parameters
    ----------
    header : Dataset
        The attributes of an instance, or what the rules see of something else.
    calling_ae_title : str
        Who sent it.
    kind_of : callable
        Returns the kind of job that does what a rule wants done with it, None if it wants nothing done; the default is
        for instances. One AE may want several.
    """
    seen: set[tuple[str, str]] = set()
    for rule in config.routes:
        kind = kind_of(rule)
        if kind is None or not wants(rule, header, calling_ae_title):
            continue
        for name in rule.to:
            remote, what = config.remote_by_name(name), (name, kind)
            if what not in seen and remote is not None and remote.ae_title != calling_ae_title:
                seen.add(what)
                yield name, rule
