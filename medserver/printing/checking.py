"""What is wrong with rules that print: the configuration does not know format information."""

from __future__ import annotations

from collections.abc import Iterator

from medserver.config import Config
from medserver.errors import CannotProcess
from medserver.printing.format import format_of, printer_for


def problems_of(config: Config) -> Iterator[str]:
    """Yield what is wrong with each ``[route NAME]`` that prints."""
    for rule in config.routes:
        if not rule.printer:
            continue
        try:
            printer_for(config, format_of({"printer": rule.printer} | dict(rule.format)))
        except CannotProcess as error:
            yield f"[route {rule.name}] {error}"
