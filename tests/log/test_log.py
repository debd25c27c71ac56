"""Log lines: one an event, and none written by a peer."""

from __future__ import annotations

import io
import logging
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver import log

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ \S+ [^\n]*")


@pytest.fixture
def stream():
    """Give the stream that the log goes to; the logging of pytest comes back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level
        for name in ("pynetdicom", "peewee", "pydicom", "py.warnings", "huey")
    }
    stream = io.StringIO()
    log.configure("info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, former in levels.items():
        logging.getLogger(name).setLevel(former)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT 1", "CT 1"),
        ("Müller", "Müller"),
        ("山田", "山田"),
        ("a\nb\r\0", r"a\nb\r\x00"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ('say "x"\\', r"say \"x\"\\"),
        ("\u202eevil\u2028", r"\u202eevil\u2028"),
        ("\ud800", r"\ud800"),
        ("\x9b31m", r"\x9b31m"),
        (b"CT\xff\n", r"CTÿ\n"),
        ("", ""),
        (None, ""),
    ],
)
def test_escaped(text, expected):
    assert log.escaped(text) == expected


@given(st.text(), st.integers(0, 80))
def test_escaped_text_is_printable_and_short(text, length_max):
    harmless = log.escaped(text, length_max)
    assert len(harmless) <= length_max
    assert harmless.isprintable()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", harmless)


def test_what_is_missing_is_shown():
    assert log.escaped("a" * 64) == "a" * 64
    assert log.escaped("a" * 65) == "a" * 61 + "..."
    assert log.escaped("\n" * 10, 6) == r"\n..."


def test_a_huge_text_is_not_walked():
    assert len(log.escaped("\x00" * 50_000_000)) <= 64


def test_events_are_unambiguous():
    event = log.Event("rejected", calling="CT 1", called='A" x=1', count=3, seconds=0.5, none=None, text="")
    assert str(event) == r'rejected calling="CT 1" called="A\" x=1" count=3 seconds=0.500 text=""'


def test_a_text_of_our_own_is_not_cut():
    path, reason = f"2026/11/29/1231/{'0' * 64}.dcm", f"main:{'1' * 80} cannot be removed"
    event = log.Event("job", path=log.Whole(path), problem=log.Whole(reason), calling="C" * 70)
    assert str(event) == f'job path={path} problem="{reason}" calling={"C" * 61}...'


def test_one_line_an_event(stream):
    logging.getLogger("medserver.test").info(log.Event("stored", path="a\nb"))
    logging.getLogger("medserver.test").info("raw %s", "x\n2026-01-01 forged \x1b[2J\u202e")
    logging.getLogger("medserver.test").debug("not shown")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(LINE.fullmatch(line) for line in lines)
    assert lines[0].endswith(r" INFO - stored path=a\nb")
    assert lines[1].endswith(r"raw x\n2026-01-01 forged \x1b[2J\u202e")


def test_tracebacks_cannot_pass_for_events(stream):
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z INFO 7 forged")
    except ValueError:
        logging.getLogger("medserver.test").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR - failed")
    assert rest and all(line.startswith("    | ") for line in rest)


def test_lines_carry_their_association(stream):
    def work():
        logging.getLogger("medserver.test").info("other thread")

    with log.in_association("7"):
        assert log.association_id() == "7"
        logging.getLogger("medserver.test").info("inside")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    logging.getLogger("medserver.test").info("outside")
    ends = [line.partition(" INFO ")[2] for line in stream.getvalue().splitlines()]
    assert ends == ["7 inside", "- other thread", "- outside"]


def test_libraries_do_not_write_what_they_read(stream):
    logging.getLogger("pynetdicom.acse").error("PatientName")
    logging.getLogger("pydicom").warning("PatientName")
    logging.getLogger("peewee").debug("PatientName")
    assert stream.getvalue() == ""
    logging.getLogger("peewee").warning("something")
    assert "WARNING - something" in stream.getvalue()
