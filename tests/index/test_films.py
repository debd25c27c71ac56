"""Films in the index: one row from the request to its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from medserver.index import FilmChange, FilmRow, NewFilm, NewJob, NewWorkitem, WorkitemChange, WorkitemKeys

NEW = NewFilm("1.2.3", "FILM1", "WS1", "print scu", "label", "MED", 2, '{"version": 1}', "main", "1.9")


def _becomes(film: FilmRow, **changes: object) -> FilmChange:
    values = {name: getattr(film, name) for name in FilmChange.__dataclass_fields__ if hasattr(film, name)}
    return FilmChange(**values | {"is_final": False, "jobs": ()} | changes)


def test_a_film_is_entered_once_with_its_jobs(index) -> None:
    assert index.films.add(NEW, [NewJob("print", {}, destination="FILM1")])
    assert not index.films.add(replace(NEW, label="other"), [NewJob("print", {}, destination="FILM1")])
    film = index.films.get("1.2.3")
    assert film is not None
    assert (film.label, film.state, film.copies, film.ended_at) == ("label", "PENDING", 2, None)
    assert [job.kind for job in index.jobs.list()] == ["print"]
    assert index.films.of_request("1.9") == [film] == index.films.page()
    assert index.films.page(among={"printer": ["OTHER"]}) == []


def test_it_changes_and_is_forgotten_when_it_has_ended(index) -> None:
    index.films.add(NEW, [])
    assert index.films.change("1.2", lambda film: _becomes(film)) is None
    index.films.change("1.2.3", lambda film: _becomes(film, state="PRINTING", reference="7", handovers=1))
    film = index.films.get("1.2.3")
    assert (film.state, film.reference, film.handovers) == ("PRINTING", "7", 1)
    assert index.films.counts() == {("FILM1", "PRINTING"): 1}
    later = index.clock() + timedelta(seconds=1)
    index.films.forget(["1.2.3"], later)
    assert index.films.get("1.2.3") == film
    index.films.change("1.2.3", lambda film: _becomes(film, state="DONE", is_final=True))
    assert [each.uid for each in index.films.ended("FILM1", later)] == ["1.2.3"]
    assert index.films.ended("OTHER", later) == []
    index.films.forget(["1.2.3"], index.clock() - timedelta(seconds=60))  # it was printed again since
    assert index.films.get("1.2.3") is not None
    index.films.forget(["1.2.3"], later)
    assert index.films.get("1.2.3") is None


def test_films_of_an_open_work_item_are_kept(index) -> None:
    index.workitems.add(NewWorkitem("1.9", "IN PROGRESS", "{}", "WS1", WorkitemKeys()), lambda item, subscribed: ())
    index.films.add(NEW, [])
    index.films.change("1.2.3", lambda film: _becomes(film, state="DONE", is_final=True))
    later = index.clock() + timedelta(seconds=1)
    assert index.films.ended("FILM1", later) == []
    index.workitems.change(
        "1.9",
        lambda item, subscribed: WorkitemChange("COMPLETED", "", "{}", "", False, True, WorkitemKeys()),
    )
    assert [film.uid for film in index.films.ended("FILM1", later)] == ["1.2.3"]


def test_texts_of_peers_and_printers_that_no_database_holds(index) -> None:
    index.films.add(replace(NEW, label="Doe\0 \ud800"), [])
    index.films.change("1.2.3", lambda film: _becomes(film, detail="it says \0\udcff"))
    film = index.films.get("1.2.3")
    assert (film.label, film.detail) == ("Doe ?", "it says ?")
