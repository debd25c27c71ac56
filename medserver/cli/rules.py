"""What rules do, in words for a terminal: the commands ``route`` and ``outbox`` say it alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from medserver.cli.text import CELL_LENGTH_MAX, duration_in_words, printable
from medserver.config import Changes, Rule
from medserver.config.hours import ALWAYS
from medserver.dicom.syntax_names import short_name

VERSION_LENGTH = 12
"""So many digits of the digest of a version are shown; JSON has all."""


def changes_in_words(changes: Changes) -> str:
    """Return what is changed on the way: ``set PatientName = ANON; remove StudyDate``."""
    parts = [
        *(f"set {keyword} = {printable(value, CELL_LENGTH_MAX)}" for keyword, value in changes.set.items()),
        *(_map_in_words(keyword, values) for keyword, values in changes.map.items()),
        *([f"remove {', '.join(changes.remove)}"] if changes.remove else []),
    ]
    return "; ".join(parts) or "unchanged"


def _map_in_words(keyword: str, values: Mapping[str, str]) -> str:
    old, new = next(iter(values.items()))
    more = f" and {len(values) - 1} more" if len(values) > 1 else ""
    return f"map {keyword} = {printable(old, CELL_LENGTH_MAX)} -> {printable(new, CELL_LENGTH_MAX)}{more}"


def syntaxes_in_words(transfer_syntaxes: Iterable[str]) -> str:
    """Return in which transfer syntaxes something is sent, the best first: ``as j2k, explicit``."""
    names = ", ".join(map(short_name, transfer_syntaxes))
    return f"as {names}" if names else "as it is stored"


def conditions_in_words(conditions: Iterable[Sequence]) -> str:
    """Return what a rule wants, its conditions as in `Route.conditions`: ``Modality = CT and Rows = 512``."""
    return " and ".join(f"{each[0]} = {printable(each[1], CELL_LENGTH_MAX)}" for each in conditions) or "everything"


def moment_in_words(rule: Rule) -> str:
    """Return when a rule does something: ``at once``, ``when its study is complete, at 20-6``."""
    moment = "at once"
    if rule.when != "instance":
        evidence = f", or by {' or '.join(rule.complete_by)}" if rule.complete_by else ""
        moment = f"when nothing of its {rule.when} was received for {duration_in_words(rule.quiet_s)}{evidence}"
    if rule.hours == ALWAYS:
        return moment
    hours = f"within the hours {rule.hours}"
    return hours if rule.when == "instance" else f"{moment}, {hours}"


def described_changes(changes: Changes) -> dict[str, object]:
    """Return what is changed on the way as JSON has it."""
    return {
        "set": dict(changes.set),
        "map": {keyword: dict(values) for keyword, values in changes.map.items()},
        "remove": list(changes.remove),
    }
