"""Rules that print: one film, or several, of a series or study when it is complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medserver.config import ConfigFile
from medserver.config.printer import FORMAT
from medserver.errors import ConfigError
from medserver.printing.checking import problems_of
from medserver.printing.film import film_of
from medserver.printing.format import NAMES
from medserver.routing.deliveries import DELIVER
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.peers import command_line
from tests.printing.conftest import Shop
from tests.printing.test_workitems import ONE_PRINTER
from tests.processing import phantoms
from tests.processing.rules_node import receive

RULE = """
[ae CT1]
address = 127.0.0.1:1
[route CT]
printer = FILM
Modality = CT
layout = 2,2
copies = 2
priority = high
"""


def run(shop: Shop) -> None:
    """Let it be quiet, and do what is due, but send nothing."""
    for _ in range(3):
        shop.clock.advance(61)
        runner = Runner(shop.node, [kind for kind in JOB_KINDS if kind.name != DELIVER], periodic=())
        while runner.run_due():
            pass


def store(shop: Shop, count: int, series: int = 1, first: int = 1) -> None:
    volume = np.random.default_rng(series).integers(0, 2000, (count, 16, 24)).astype(np.uint16)
    for number, pixels in enumerate(volume, first):
        receive(shop.node, phantoms.ct_slice(pixels, number, series=series))


def films(shop: Shop) -> list[tuple[str, str, int, int, list[str]]]:
    """Return state, priority, copies, number of images and heading of each film."""
    return [
        (one.state, one.priority, one.copies, len((film := film_of(one.content)).boxes), list(film.heading[2:]))
        for one in shop.node.index.films.page()
    ]


def test_a_series_is_printed_when_it_is_complete(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(ONE_PRINTER + RULE)
    store(shop, 5)
    assert films(shop) == []
    run(shop)
    assert films(shop) == [
        ("DONE", "HIGH", 2, 4, ["page 1 of 2"]), ("DONE", "HIGH", 2, 1, ["page 2 of 2"]),
    ]  # fmt: skip
    assert len(shop.pages()) == 2
    [item] = shop.node.index.workitems.page()
    assert (item.state, item.created_by) == ("COMPLETED", "MEDSERVER")
    store(shop, 1, series=2)
    run(shop)
    assert len(films(shop)) == 3
    assert list(shop.node.index.jobs.list()) == []


def test_a_printer_that_is_renamed_while_images_wait(make_shop: Callable[..., Shop]) -> None:
    """What waits is printed where the rule prints now: its format is that of the rule as it was."""
    shop = make_shop(ONE_PRINTER + RULE)
    store(shop, 5)
    renamed = (ONE_PRINTER + RULE).replace("[printer FILM]", "[printer NEW]").replace("printer = FILM", "printer = NEW")
    (shop.folder.parent / "config.ini").write_text(renamed.replace("layout = 2,2", "layout = 1,1"))
    shop.node.config.read_again()
    run(shop)
    assert [(state, count) for state, _, _, count, _ in films(shop)] == [("DONE", 4), ("DONE", 1)]
    assert {one.printer for one in shop.node.index.films.page()} == {"NEW"}


def test_what_comes_later_makes_another_film_of_all(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(ONE_PRINTER + RULE)
    store(shop, 2)
    run(shop)
    store(shop, 1, first=3)
    run(shop)
    assert [count for _, _, _, count, _ in films(shop)] == [2, 3]


@pytest.mark.parametrize("when, counts", [("study", [3]), ("series", [2, 1]), ("instance", [1, 1, 1])])
def test_what_is_printed_together(make_shop: Callable[..., Shop], when: str, counts: list[int]) -> None:
    shop = make_shop(f"{ONE_PRINTER}{RULE}when = {when}\n")
    store(shop, 2)
    store(shop, 1, series=2)
    run(shop)
    assert sorted((count for _, _, _, count, _ in films(shop)), reverse=True) == counts


def test_what_a_rule_does_not_want_is_not_printed(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(ONE_PRINTER + RULE.replace("Modality = CT", "InstanceNumber = 2"))
    store(shop, 3)
    run(shop)
    assert [count for _, _, _, count, _ in films(shop)] == [1]


def test_it_is_printed_and_sent(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(f"{ONE_PRINTER}{RULE}[ae WS]\naddress = 127.0.0.1:2\n[route WS]\nto = WS\n")
    store(shop, 2)
    run(shop)
    assert len(films(shop)) == 1
    assert [job.destination for job in shop.node.index.jobs.list()] == ["WS", "WS"]


def test_what_waits_is_shown(make_shop: Callable[..., Shop], tmp_path: Path) -> None:
    shop = make_shop(ONE_PRINTER + RULE)
    store(shop, 2)
    listed = command_line.invoke("--config", tmp_path / "config.ini", "outbox", "list").stdout
    assert "this node" in listed
    number = next(shop.node.index.jobs.list()).id
    shown = command_line.invoke("--config", tmp_path / "config.ini", "outbox", "show", str(number)).stdout
    assert "by FILM, each series together" in shown and "layout = 2,2, copies = 2" in shown
    assert "then printed: a work item is made" in shown


@pytest.mark.parametrize(
    "rule, problem",
    [
        ("to = CT1\nprinter = FILM\n", "has 'to' and 'printer'"),
        ("Modality = CT\n", "to is missing, or 'printer' in its place"),
        ("to = CT1\nlayout = 2,2\n", "layout: only what is printed has that"),
        ("printer = FLIM\n", "printer: no [printer FLIM] (did you mean 'FILM'?)"),
        ("printer = FILM\nsend = availability\n", "what is printed is sent as it is"),
        ("printer = FILM\nlayuot = 2,2\n", "no option 'layuot'"),
    ],
)
def test_a_rule_that_cannot_be(tmp_path: Path, rule: str, problem: str) -> None:
    path = tmp_path / "config.ini"
    path.write_text(f"{ONE_PRINTER}[ae CT1]\naddress = 127.0.0.1:1\n[route R]\n{rule}")
    with pytest.raises(ConfigError) as raised:
        _ = ConfigFile(path).current
    assert problem in " ".join(raised.value.problems)


@pytest.mark.parametrize(
    "option, problem",
    [("layout = 9,99", "layout"), ("layout = 256,1", "no room"), ("window = 40,0", "window"),
     ("film_size = A3", "film_size"), ("copies = 21", "copies"), ("window = 1", "window")],
)  # fmt: skip
def test_format_information_is_checked(tmp_path: Path, option: str, problem: str) -> None:
    path = tmp_path / "config.ini"
    path.write_text(f"{ONE_PRINTER}[route R]\nprinter = FILM\n{option}\n")
    [told] = problems_of(ConfigFile(path).current)
    assert told.startswith("[route R]") and problem in told
    checked = command_line.invoke("--config", path, "config", "check")
    assert checked.exit_code != 0 and problem in checked.stderr


def test_a_rule_is_listed_and_tested(tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_text(ONE_PRINTER + RULE)
    assert "printer FILM" in command_line.invoke("--config", path, "route", "list").stdout
    [listed] = json.loads(command_line.invoke("--config", path, "route", "list", "--json").stdout)
    assert (listed["printer"], listed["format"]) == ("FILM", {"layout": "2,2", "copies": "2"})
    volume = np.zeros((1, 16, 16), np.uint16)
    [image] = phantoms.write(tmp_path / "made", phantoms.ct_series(volume)).iterdir()
    tested = command_line.invoke("--config", path, "route", "test", image)
    assert tested.exit_code == 0 and "CT: printed by FILM" in tested.stdout


def test_names() -> None:
    assert ("printer", *FORMAT) == NAMES
