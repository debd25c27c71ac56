"""An archive that is made once, and workers that all nodes share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codec_workers import SharedWorkers
from tests.hurry import hurried
from tests.life.checks import play
from tests.life.life import Images, Life, make_template
from tests.life.model import Model

STATES = {
    "received": ("receive",),
    "compressed": ("receive", "copy", "compress", "copy"),
    "retired": ("receive", "compress", "jobs"),
    "replaced": ("receive", "receive other, replace", "jobs"),
    "ordered": ("receive", "receive other, keep", "copy", "order"),
    "deleted": ("receive", "jobs", "order", "delete"),
}
"""What has happened before. From the first of them pairs lead into all others."""

States = dict[str, tuple[Life, Model]]


@pytest.fixture(scope="module")
def template(make_directory) -> Iterator[Life]:
    """Give a new archive, to be copied."""
    workers = SharedWorkers()
    directory = make_directory("life")
    yield make_template(directory / "template", Images(directory / "made"), workers)
    workers.end()


@pytest.fixture(scope="module")
def states(template: Life, make_directory) -> States:
    """Give an archive in each state, to be copied."""
    return {name: _state(template, make_directory("states") / name, *events) for name, events in STATES.items()}


def _state(template: Life, folder: Path, *events: str) -> tuple[Life, Model]:
    life, model = template.copy_to(folder), Model()
    with life:
        play(life, model, *events)
    return life, model


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Nobody waits for others to go first, and nothing is said about damage that is made on purpose."""
    logging.disable(logging.CRITICAL)
    with hurried():
        yield
    logging.disable(logging.NOTSET)
