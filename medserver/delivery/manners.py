"""How something is sent: as the rule said when it was decided, whatever became of the rule since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medserver.config import Changes, Config
from medserver.index.rule_versions import RuleVersions
from medserver.routing.deliveries import Delivery


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is sent.

    Parameters
    ----------
    transfer_syntaxes : tuple of str
        The best first; empty: as the entry of the destination says.
    changes : Changes
        What is changed on the way.
    """

    transfer_syntaxes: tuple[str, ...] = ()
    changes: Changes = field(default_factory=Changes)


class Manners:
    """Finds how deliveries are to be sent; each version is looked up once.

    Parameters
    ----------
    config : Config
        The rules as of now.
    versions : RuleVersions
        Those that were noted.
    """

    def __init__(self, config: Config, versions: RuleVersions) -> None:
        self._config = config
        self._versions = versions
        self._known: dict[str, Manner | None] = {
            rule.digest: Manner(rule.transfer_syntaxes, rule.changes) for rule in config.routes
        }

    def of(self, delivery: Delivery) -> Manner | None:
        """Return how something is sent; None if nobody knows what its rule said."""
        if not delivery.rule and delivery.route is None:
            return Manner()
        if not delivery.rule:  # an older medserver has decided it
            rule = self._config.route(str(delivery.route))
            return rule and Manner(rule.transfer_syntaxes, rule.changes)
        if delivery.rule not in self._known:
            version = self._versions.get(delivery.rule)
            self._known[delivery.rule] = version and _manner(version.content)
        return self._known[delivery.rule]


def _manner(content: Mapping[str, Any]) -> Manner:
    if "types" in content:  # of a rule by which images are processed: nothing is sent
        return Manner()
    changes = Changes(content["set"], tuple(content["remove"]), content["map"])
    return Manner(tuple(content["transfer_syntaxes"]), changes)
