"""What is wrong with rules by which images are processed: the configuration does not know the types."""

from __future__ import annotations

from collections.abc import Iterator

from medserver.config import Config, Processing
from medserver.errors import CannotProcess
from medserver.processing.requests import checked_type, request_for
from medserver.processing.types import all_types, find_type


def problems_of(config: Config) -> Iterator[str]:
    """Yield what is wrong with each ``[type NAME]``, and ``[processing NAME]``: types, parameters, outputs."""
    if not config.processings and not config.types:
        return
    try:
        all_types(config)
    except Exception as error:  # noqa: BLE001 - a plug-in is loaded, which must not keep the node from starting
        yield f"the types of processing cannot be loaded: {type(error).__name__}: {error}"
        return
    for entry in config.types:
        try:
            is_used = find_type(entry.name, config).command == entry
        except Exception as error:  # noqa: BLE001 - as below
            yield f"[type {entry.name}] the types cannot be loaded: {type(error).__name__}: {error}"
            continue
        if not is_used:
            yield f"[type {entry.name}] there is a type of this name already: it is never used"
    for rule in config.processings:
        try:
            checked_type(request_for(rule.types, dict(rule.parameters), config=config), config)
        except CannotProcess as error:
            yield f"[processing {rule.name}] {error}"
        else:
            yield from (f"[processing {rule.name}] {problem}" for problem in _mistaken(config, rule))


def _mistaken(config: Config, rule: Processing) -> Iterator[str]:
    """Yield what is read as a condition on an attribute, and may be meant as the parameter of the same name."""
    for keyword, _, _ in rule.conditions:
        for kind in (find_type(name, config) for name in rule.types):
            if keyword.lower() in {parameter.name for parameter in kind.parameters}:
                name = f"{kind.name}.{keyword.lower()}"
                yield f"{keyword.lower()} is a condition on the attribute {keyword}: write {name} for the parameter"
