"""Films, and a node in this process with printers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from medserver.config import ConfigFile
from medserver.index import FilmRow
from medserver.node import Node, open_node
from medserver.printing.film import Film, ImageBox, ReceivedImage
from medserver.printing.following import FOLLOW
from medserver.printing.queue import PRINT, PRINT_SCU, FilmRequest, queue_film
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.clock import Clock

CONFIGURATION = """
[node]
data = data
[printer FILM]
output = pdf
folder = films
substitute = PAPER
[printer PAPER]
output = pdf
folder = papers
media = A4
"""


@dataclass
class Shop:
    """A node with printers.

    Attributes
    ----------
    node : Node
        The node.
    clock : Clock
        Its clock.
    folder : Path
        Its data folder.
    """

    node: Node
    clock: Clock
    folder: Path

    def request(self, uid: str = "1.2.3", film: Film | None = None, printer: str = "FILM", **more: object) -> None:
        """Ask for a film of one gray image."""
        film = film or Film(boxes=(ImageBox(1, ReceivedImage("1", 20, 30)),))
        pixels = np.arange(600, dtype=np.uint16).astype(np.uint8).tobytes()
        images = [(box.image.file, [pixels]) for box in film.boxes if isinstance(box.image, ReceivedImage)]
        chosen = self.node.config.current.printer(printer)
        assert chosen is not None
        assert queue_film(self.node, FilmRequest(uid, film, chosen, "WS1", PRINT_SCU, **more), images)

    def work(self) -> None:
        """Do what is due."""
        runner = Runner(self.node, [kind for kind in JOB_KINDS if kind.name in (PRINT, FOLLOW)], periodic=())
        while runner.run_due():
            pass

    def row(self, uid: str = "1.2.3") -> FilmRow:
        """Return a film."""
        row = self.node.index.films.get(uid)
        assert row is not None
        return row

    def pages(self, folder: str = "films") -> list[Path]:
        """Return the files of a printer."""
        return sorted((self.folder / folder).glob("*.pdf"))


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Give a function that opens a node with a configuration."""
    opened: list[Node] = []

    def make(configuration: str = CONFIGURATION) -> Shop:
        path = tmp_path / "config.ini"
        path.write_text(configuration)
        clock = Clock()
        node = open_node(ConfigFile(path), clock=clock)
        opened.append(node)
        return Shop(node, clock, tmp_path / "data")

    yield make
    for node in opened:
        with closing(node):
            pass


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """Give a node with two folders as printers."""
    return make_shop()
