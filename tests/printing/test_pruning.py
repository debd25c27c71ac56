"""Films are forgotten after a while: the row, then the images, and what a crash has left of either."""

from __future__ import annotations

from medserver.index import NewJob
from medserver.printing.film_file import write_film_file
from medserver.printing.pruning import FILM_ORPHANS, FILM_PRUNE
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.printing.conftest import Shop

DAY_S = 86_400


def _prune(shop: Shop) -> None:
    shop.node.index.add_jobs([NewJob(FILM_PRUNE)])
    runner = Runner(shop.node, [kind for kind in JOB_KINDS if kind.name in (FILM_PRUNE, FILM_ORPHANS)], periodic=())
    while runner.run_due():
        pass


def test_a_film_is_kept_and_then_forgotten_with_its_images(shop: Shop) -> None:
    shop.request("1.2.3")
    shop.work()
    shop.request("1.2.4", printer="PAPER")
    shop.clock.advance(DAY_S / 2)
    _prune(shop)
    assert (shop.row("1.2.3").state, shop.row("1.2.4").state) == ("DONE", "PENDING")
    shop.clock.advance(DAY_S)
    _prune(shop)
    assert shop.node.index.films.get("1.2.3") is None
    assert shop.row("1.2.4").state == "PENDING"
    assert shop.node.primary_volume.films.names() == ["1.2.4"]


def test_images_of_no_film_are_removed_after_a_day(shop: Shop) -> None:
    """A node died between the images and the row, or between the row that was forgotten and the images."""
    films = shop.node.primary_volume.films
    write_film_file(shop.node.primary_volume, "1.2.9", [("1", [b"x"])])
    shop.request("1.2.3")
    _prune(shop)
    shop.clock.advance(DAY_S - 60)
    _prune(shop)
    assert films.names() == ["1.2.3", "1.2.9"]
    shop.clock.advance(120)
    _prune(shop)
    assert films.names() == ["1.2.3"]


def test_a_film_of_a_printer_that_is_gone_is_forgotten_too(shop: Shop) -> None:
    shop.request()
    shop.work()
    path = shop.folder.parent / "config.ini"
    path.write_text(path.read_text().replace("FILM]", "OTHER]"))
    shop.clock.advance(DAY_S + 60)
    _prune(shop)
    assert shop.node.index.films.get("1.2.3") is None
