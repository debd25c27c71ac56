"""The schema of audit messages, which every message that a test sees is held against."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from medserver.audit.message import MESSAGE_SIZE_MAX_BYTES

SCHEMA = Path(__file__).with_name("audit_message.rng")


@lru_cache(maxsize=1)
def _validator() -> Any:
    etree = pytest.importorskip("lxml.etree", reason="lxml validates audit messages")
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


def problems_of(message: str) -> list[str]:
    """Return what is wrong with a message by the schema, and its size."""
    validator = _validator()
    from lxml import etree

    problems = [] if len(message.encode()) <= MESSAGE_SIZE_MAX_BYTES else [f"{len(message.encode())} bytes"]
    if not validator.validate(etree.fromstring(message.encode())):
        problems += [str(error) for error in validator.error_log]
    return problems


def parsed(message: str) -> ElementTree.Element:
    """Return a message that is valid."""
    assert problems_of(message) == [], message
    return ElementTree.fromstring(message)
