"""A rule as config.ini has it: which instances go to whom."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medserver.config.hours import ALWAYS, Hours
from medserver.dicom.conditions import Condition

CALLING_AE_TITLE = "calling_ae_title"
"""The option that is not an attribute of the instance: who sent it."""

PRIORITIES = ("low", "medium", "high")
THIS_NODE = ""
"""The destination of what this node does itself."""

SENDS = ("instances", "conditions", "both", "availability")
MOMENTS = ("instance", "series", "study")
EVIDENCE = ("mpps", "commitment", "count", "association")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a rule changes in the attributes of what it sends.

    Parameters
    ----------
    set : Mapping of str to str
        Keyword -> value.
    remove : tuple of str
        Keywords.
    map : Mapping of str to Mapping
        Keyword -> old value -> new value.
    """

    set: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    map: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.set or self.remove or self.map)

    def as_mapping(self) -> dict[str, Any]:
        """Return it as `codecs.change_attributes` takes it."""
        return {"set": dict(self.set), "remove": list(self.remove), "map": {k: dict(v) for k, v in self.map.items()}}


@dataclass(frozen=True, slots=True)
class Route:
    """One ``[route NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry.
    to : tuple of str
        The names of the ``[ae NAME]`` entries to which it sends.
    conditions : tuple of (str, str, Condition)
        For each attribute that decides: its keyword (or `CALLING_AE_TITLE`), what is written in the file, and what
        that means. All of them must be fulfilled; without any, every instance is sent.
    send : str
        One of `SENDS`. ``conditions`` are performed procedure protocols and performed procedure steps, ``both`` these
        steps beside the instances, ``availability`` is only the news that the instances are here.
    transfer_syntaxes : tuple of str
        What is sent, the best first. Empty: as the entry of the destination says.
    priority : str
        One of `PRIORITIES`.
    when : str
        One of `MOMENTS`: each instance at once, or when its series or study seems complete.
    quiet_s : float
        It is taken for complete when nothing of it has come for so long [s].
    complete_by : tuple of str
        What says earlier that a study is complete, of `EVIDENCE`: its performed procedure steps, a request for storage
        commitment, that the sender has no more instances of it, the end of the association.
    hours : Hours
        When it is sent.
    changes : Changes
        What is changed on the way.
    printer : str
        The ``[printer NAME]`` that prints it, in place of `to`; empty if none does.
    format : tuple of (str, str)
        Name and value of the format information, as written in the file: how it is printed.

    Attributes
    ----------
    digest : str
        The version of the rule: the SHA-256 of its `content`, hexadecimal. Rules of one version send the same.
    """

    name: str
    to: tuple[str, ...]
    conditions: tuple[tuple[str, str, Condition], ...] = ()
    send: str = "instances"
    transfer_syntaxes: tuple[str, ...] = ()
    priority: str = "medium"
    when: str = "instance"
    quiet_s: float = 60.0
    complete_by: tuple[str, ...] = ()
    hours: Hours = ALWAYS
    changes: Changes = field(default_factory=Changes)
    printer: str = ""
    format: tuple[tuple[str, str], ...] = ()
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        text = json.dumps(self.content(), sort_keys=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    @property
    def targets(self) -> tuple[str, ...]:
        """The destinations of its jobs; this node where it prints."""
        return (THIS_NODE,) if self.printer else self.to

    def content(self) -> dict[str, Any]:
        """Return what is decided by the rule and how that is sent, but neither its name nor when: see `digest`."""
        prints = {"printer": self.printer, "format": [list(each) for each in self.format], "of": self.when}
        prints |= {"priority": self.priority}
        return {
            **(prints if self.printer else {}),
            "conditions": [[keyword, wanted] for keyword, wanted, _ in self.conditions],
            "send": self.send,
            "transfer_syntaxes": list(self.transfer_syntaxes),
            **self.changes.as_mapping(),
        }
