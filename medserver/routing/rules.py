"""What the rules of config.ini say of an instance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver.config import CALLING_AE_TITLE, Config, Processing, Route, Rule
from medserver.dicom import uids
from medserver.dicom.conditions import Condition
from medserver.dicom.contributing_equipment import processing_type_of
from medserver.dicom.dataset_values import value_of
from medserver.dicom.matching import matches
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.routing.deliveries import kind_of

CONTRIBUTING_EQUIPMENT = "ContributingEquipmentSequence"

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


def checks(rule: Rule, header: Dataset, calling_ae_title: str) -> Iterator[Check]:
    """Yield what each condition of a rule says of an instance.

    Parameters
    ----------
    rule : Rule
        The rule.
    header : Dataset
        The attributes of the instance, at least those that `tags_of` names.
    calling_ae_title : str
        Who sent it; empty if nobody knows.
    """
    for keyword, wanted, condition in rule.conditions:
        yield Check(keyword, wanted, is_fulfilled(keyword, condition, header, calling_ae_title))
    if isinstance(rule, Processing):
        yield Check(CONTRIBUTING_EQUIPMENT, f"not made by {', '.join(rule.types)}", not _is_made_by(rule.types, header))
    elif rule.send == "conditions":
        yield Check("SOPClassUID", "a performed protocol", _value(header, "SOPClassUID") in _CONDITIONS)


def is_fulfilled(keyword: str, condition: Condition, header: Dataset, calling_ae_title: str) -> bool:
    """Tell whether an instance fulfils a condition; the parameters are those of `checks`."""
    return matches(condition, calling_ae_title if keyword == CALLING_AE_TITLE else _value(header, keyword))


def _is_made_by(types: Iterable[str], header: Dataset) -> bool:
    """Tell whether an instance, or what it was made from, is the result of one of the types of processing.

    A rule is not applied to it again: its own results come back from those that they are sent to.
    """
    return not _types_of(header).isdisjoint(types)


def _is_result(header: Dataset) -> bool:
    """Tell whether an instance, or what it was made from, is the result of any type of processing of this software."""
    return bool(_types_of(header))


def _types_of(header: Dataset) -> set[str]:
    """Return the types of processing that an instance has gone through."""
    try:
        return set(filter(None, map(processing_type_of, header.get(CONTRIBUTING_EQUIPMENT) or ())))
    except PYDICOM_ERRORS:
        return set()


def _value(header: Dataset, keyword: str) -> None | str | list[str] | list[dict]:
    """Return a value; what cannot be decoded is none, and fulfils no condition that wants one."""
    try:
        return value_of(header, keyword)
    except PYDICOM_ERRORS:
        return None


def tags_of(rules: Iterable[Rule]) -> frozenset[int]:
    """Return the tags of the attributes by which rules decide, ``group << 16 | element``."""
    keywords = set()
    for rule in rules:
        keywords.update(keyword for keyword, _, _ in rule.conditions if keyword != CALLING_AE_TITLE)
        if isinstance(rule, Processing):
            keywords.add(CONTRIBUTING_EQUIPMENT)
        elif rule.send == "conditions":
            keywords.add("SOPClassUID")
    return frozenset(filter(None, map(tag_for_keyword, keywords)))


def wants(rule: Rule, header: Dataset, calling_ae_title: str) -> bool:
    """Tell whether an instance fulfils all conditions of a rule."""
    return all(check.is_fulfilled for check in checks(rule, header, calling_ae_title))


class Verdict(Enum):
    """What is decided about something, a rule and one of its destinations; the value is for machines."""

    SENDS = "sends"
    CONDITION = "condition"
    """A condition of the rule is not fulfilled, see `checks`."""
    EARLIER_RULE = "earlier rule"
    """An earlier rule sends it there."""
    SENDER = "sender"
    """It came from there."""
    NO_DESTINATION = "no destination"
    """There is no such entry."""
    PROCESSES = "processes"
    OWN_RESULT = "own result"
    """It is the result of a processing here, and the rule does not ask for those by ``calling_ae_title``."""
    NOT_DELIVERED = "not delivered"
    """It is not sent to any of those to which it would have to be."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about something, a rule and one of its destinations.

    Parameters
    ----------
    rule : Rule
        The rule.
    destination : str
        The entry of the AE; empty: this node, which processes it.
    verdict : Verdict
        What.
    earlier : Route or None
        The rule that sends it there, for `Verdict.EARLIER_RULE`.
    """

    rule: Rule
    destination: str
    verdict: Verdict
    earlier: Route | None = None


def decisions(
    config: Config, header: Dataset, calling_ae_title: str, kind_of: Callable[[Route], str | None] = kind_of
) -> Iterator[Decision]:
    """Yield what is decided about something: for each rule, in their order, and each of its destinations.

    The first rule of a destination sends it there; those that are only told apart. It does not go back to the AE that
    it came from: two nodes that send each other what they receive would never end.

    Parameters
    ----------
    header : Dataset
        The attributes of an instance, or what the rules see of something else.
    calling_ae_title : str
        Who sent it.
    kind_of : callable
        Returns the kind of job that does what a rule wants done with it, None if it wants nothing done: of such a rule
        there is no decision. The default is for instances. One AE may want several.
    """
    sending: dict[tuple[str, str], Route] = {}
    for rule in config.routes:
        kind = kind_of(rule)
        if kind is None:
            continue
        is_wanted = wants(rule, header, calling_ae_title)
        for name in rule.targets:
            remote, earlier = config.remote_by_name(name), sending.get((name, kind))
            if not is_wanted:
                yield Decision(rule, name, Verdict.CONDITION)
            elif rule.printer:  # all that want it printed do
                yield Decision(rule, name, Verdict.SENDS)
            elif remote is None:
                yield Decision(rule, name, Verdict.NO_DESTINATION)
            elif remote.ae_title == calling_ae_title:
                yield Decision(rule, name, Verdict.SENDER)
            elif earlier is not None:
                yield Decision(rule, name, Verdict.EARLIER_RULE, earlier)
            else:
                sending[name, kind] = rule
                yield Decision(rule, name, Verdict.SENDS)


def wanted_by(
    config: Config, header: Dataset, calling_ae_title: str, kind_of: Callable[[Route], str | None] = kind_of
) -> Iterator[tuple[str, Route]]:
    """Yield each destination of something with the rule that sends it there; parameters as for `decisions`."""
    for each in decisions(config, header, calling_ae_title, kind_of):
        if each.verdict is Verdict.SENDS:
            yield each.destination, each.rule


def processing_decisions(
    config: Config, header: Dataset, calling_ae_title: str, destinations: Collection[str]
) -> Iterator[Decision]:
    """Yield what is decided about an instance and each rule by which images are processed; all that want it do.

    Parameters
    ----------
    config : Config
        The rules.
    header : Dataset
        The attributes of the instance, at least those that `tags_of` names.
    calling_ae_title : str
        Who sent it; empty if nobody knows.
    destinations : collection of str
        The entries of the AEs to which it is sent.
    """
    for rule in config.processings:
        yield Decision(rule, "", processing_verdict(config, rule, header, calling_ae_title, destinations))


def processing_verdict(
    config: Config, rule: Processing, header: Dataset, calling_ae_title: str, destinations: Collection[str]
) -> Verdict:
    """Return what is decided about an instance and a rule by which images are processed.

    Results that were made here are left alone, unless the rule asks for what this node sends by ``calling_ae_title``:
    rules that want the same images would process the results of each other.
    """
    if not wants(rule, header, calling_ae_title):
        return Verdict.CONDITION
    asks_for_sender = any(keyword == CALLING_AE_TITLE for keyword, _, _ in rule.conditions)
    if calling_ae_title == config.node.ae_title and not asks_for_sender and _is_result(header):
        return Verdict.OWN_RESULT
    if rule.delivered_to and not any(name in destinations for name in rule.delivered_to):
        return Verdict.NOT_DELIVERED
    return Verdict.PROCESSES


def processed_by(
    config: Config, header: Dataset, calling_ae_title: str, destinations: Collection[str]
) -> Iterator[Processing]:
    """Yield the rules by which an instance is processed; parameters as for `processing_decisions`."""
    for each in processing_decisions(config, header, calling_ae_title, destinations):
        if each.verdict is Verdict.PROCESSES and isinstance(each.rule, Processing):
            yield each.rule
