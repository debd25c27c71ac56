"""A printer or print server that speaks IPP (RFC 8011): paper or film, followed to its end.

A job has the name of the film, so that a restart finds what it has sent already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from medserver.config import Printer
from medserver.config.printer import FILM_SIZES_MM
from medserver.errors import CannotRender, PrinterFailed, PrinterRefused
from medserver.printing.film import Film
from medserver.printing.printers.ipp_exchange import NOT_FOUND, IppRefusal, exchange
from medserver.printing.printers.printer import FAILURE, NORMAL, WARNING, Handover, PrinterStatus, Progress

PDF_FORMAT = "application/pdf"
JOB_NAME_PREFIX = "medserver "

PRINT_JOB, CANCEL_JOB, GET_JOB_ATTRIBUTES, GET_JOBS, GET_PRINTER_ATTRIBUTES = 0x02, 0x08, 0x09, 0x0A, 0x0B

STOPPED = 5
"""printer-state (RFC 8011 5.4.11)."""

DIFFERENCE_MAX_MM = 1.0
"""By which a medium may differ from the size of a page."""

HIGH_QUALITY, DOTS_PER_INCH = 5, 3

_JOB_STATES = {
    3: ("PENDING", "waits"),
    4: ("PENDING", "is held"),
    5: ("PRINTING", "is printed"),
    6: ("PRINTING", "is stopped"),
    7: (FAILURE, "was cancelled at the printer"),
    8: (FAILURE, "was aborted by the printer"),
    9: ("DONE", "has ended"),
}
"""job-state (RFC 8011 5.3.7) -> Execution Status, and what is said of it."""

JOB_HELD, JOB_STOPPED = 4, 6

_OF_STATUS = (
    "printer-state", "printer-state-reasons", "printer-state-message", "printer-is-accepting-jobs",
    "document-format-supported",
)  # fmt: skip
"""What `status_of` looks at."""

_JOB_PRIORITIES = {"HIGH": 80, "LOW": 20}
"""Print Priority -> job-priority (RFC 8011 5.2.1), from 1 to 100; what is MED has that of the printer."""

_SAYS_NOTHING = ("none", None, "job-printing", "processing-to-stop-point", "job-completed-successfully")
"""Reasons that tell nothing beside the state; CUPS gives processing-to-stop-point to all jobs that have ended."""

_INFOS = (
    ("media-empty", "SUPPLY EMPTY"),
    ("media-needed", "SUPPLY EMPTY"),
    ("media-jam", "FILM JAM"),
    ("toner-empty", "SUPPLY EMPTY"),
    ("marker-supply-empty", "SUPPLY EMPTY"),
    ("cover-open", "COVER OPEN"),
    ("door-open", "COVER OPEN"),
    ("interlock-open", "COVER OPEN"),
    ("media-low", "SUPPLY LOW"),
    ("toner-low", "SUPPLY LOW"),
    ("marker-supply-low", "SUPPLY LOW"),
    ("shutdown", "PRINTER DOWN"),
    ("offline", "PRINTER DOWN"),
    ("connecting-to-device", "CHECK PRINTER"),
    ("paused", "CHECK PRINTER"),
    ("printer-stopped", "CHECK PRINTER"),
    ("timed-out", "PRINTER DOWN"),
    ("spool-area-full", "QUEUED"),
)
"""printer-state-reasons (RFC 8011 5.4.12), the worst first -> Printer Status Info (PS3.3 C.13.9)."""

_SIZE = re.compile(r".*_(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(mm|in)")
_MM = {"mm": 1.0, "in": 25.4}


class IppPrinter:
    """A printer that is reached by IPP. See `printer.Output`.

    Parameters
    ----------
    printer : Printer
        Its entry.
    """

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._url = printer.url

    def status(self) -> PrinterStatus:
        """Tell whether it accepts jobs, and is not stopped."""
        return status_of(self._attributes(*_OF_STATUS))

    def beginning(self, name: str) -> AbstractContextManager[None]:
        """Do nothing: what the printer has begun to get it can only be asked for."""
        del name
        return nullcontext()

    def hand_over(self, handover: Handover) -> str:
        """Send the page, and return the number and the name of its job.

        Raises
        ------
        CannotRender
            The printer does not make so many copies.
        PrinterRefused
            It has no such medium, or does not take the page.
        PrinterFailed
            It broke off.
        """
        import ippx

        attributes = self._attributes("all")
        size_mm = FILM_SIZES_MM[handover.film.film_size_id or self._printer.media[0]]
        medium = medium_of(attributes, size_mm)
        template = job_template(attributes, handover.film, handover.copies, self._printer)
        if handover.priority in _JOB_PRIORITIES and _values(attributes, "job-priority-supported"):
            template.append(ippx.Attribute("job-priority", ippx.Tag.INTEGER, [_JOB_PRIORITIES[handover.priority]]))
        if medium:
            template.append(ippx.Attribute("media", ippx.Tag.KEYWORD, [medium]))
        name = JOB_NAME_PREFIX + handover.name
        asked = [
            ippx.Attribute("job-name", ippx.Tag.NAME, [name]),
            ippx.Attribute("document-format", ippx.Tag.MIME_TYPE, [PDF_FORMAT]),
        ]
        with handover.document() as document:
            jobs = exchange(self._url, PRINT_JOB, asked, template, document, None if medium else size_mm)
        number = next((values.get("job-id") for values in jobs), None)
        if not isinstance(number, int) or number <= 0:
            raise PrinterFailed(f"{self._url} has taken a page, and does not say as which job")
        return f"{number} {name}"

    def find(self, name: str) -> str | None:
        """Return the number and the name of the job of a film; the last one, if there are several."""
        import ippx

        found = []
        wanted = ["job-id", "job-name"]
        for which in ("not-completed", "completed"):
            asked = [
                ippx.Attribute("which-jobs", ippx.Tag.KEYWORD, [which]),
                ippx.Attribute("requested-attributes", ippx.Tag.KEYWORD, wanted),
            ]
            found += [
                values["job-id"]
                for values in exchange(self._url, GET_JOBS, asked)
                if values.get("job-name") == JOB_NAME_PREFIX + name and isinstance(values.get("job-id"), int)
            ]
        return f"{max(found)} {JOB_NAME_PREFIX}{name}" if found else None

    def has_not_taken(self, name: str) -> bool:
        """Tell that nobody knows: printers forget jobs that have ended, some of them soon."""
        del name
        return False

    def follow(self, reference: str) -> Progress:
        """Return the state of a job."""
        import ippx

        number, _, name = reference.partition(" ")
        wanted = ["job-id", "job-name", "job-state", "job-state-reasons", "job-state-message"]  # fmt: skip
        asked = [
            ippx.Attribute("job-id", ippx.Tag.INTEGER, [int(number)]),
            ippx.Attribute("requested-attributes", ippx.Tag.KEYWORD, wanted),
        ]
        try:
            values = next(iter(exchange(self._url, GET_JOB_ATTRIBUTES, asked)), {})
        except IppRefusal as error:
            if error.code not in NOT_FOUND:
                raise
            values = {}
        if values.get("job-name", name) != name or "job-state" not in values:
            lost = f"{self._url} does not know job {number} any more: see whether it is printed"
            return Progress(FAILURE, "CHECK PRINTER", lost)
        progress = progress_of(values, reference)
        if progress.state in ("PENDING", "PRINTING"):  # what it waits for, most printers say of themselves
            status = self.status()
            if status.state != NORMAL:
                return replace(progress, info=status.info, detail=f"{progress.detail}; {status.detail}")
        return progress

    def cancel(self, reference: str) -> bool:
        """Cancel a job; False if it has ended already."""
        import ippx

        number, _, _ = reference.partition(" ")
        try:
            exchange(self._url, CANCEL_JOB, [ippx.Attribute("job-id", ippx.Tag.INTEGER, [int(number)])])
        except IppRefusal:
            return False
        return True

    def _attributes(self, *names: str) -> Mapping[str, Any]:
        import ippx

        asked = [ippx.Attribute("requested-attributes", ippx.Tag.KEYWORD, list(names))]
        return next(iter(exchange(self._url, GET_PRINTER_ATTRIBUTES, asked)), {})


def status_of(attributes: Mapping[str, Any]) -> PrinterStatus:
    """Return how a printer is by its attributes."""
    reasons = _reasons(attributes, "printer-state-reasons")
    info = _info(reasons)
    detail = ", ".join(filter(None, [str(attributes.get("printer-state-message") or ""), *reasons]))
    if attributes.get("printer-is-accepting-jobs") is False:
        return PrinterStatus(FAILURE, info or "CHECK PRINTER", f"it accepts no jobs: {detail}".rstrip(": "))
    if attributes.get("printer-state") == STOPPED or any(each.endswith("-error") for each in reasons):
        return PrinterStatus(FAILURE, info or "CHECK PRINTER", f"it is stopped: {detail}".rstrip(": "))
    formats = _values(attributes, "document-format-supported")
    if formats and PDF_FORMAT not in formats:
        return PrinterStatus(FAILURE, "CHECK PRINTER", "it takes no PDF: let a print server (CUPS) convert for it")
    if any(not each.endswith("-report") for each in reasons):
        return PrinterStatus(WARNING, info or "CHECK PRINTER", detail)
    return PrinterStatus(NORMAL)


def progress_of(values: Mapping[str, Any], reference: str) -> Progress:
    """Return how far a job has come by its attributes."""
    job_state = values["job-state"]
    state, said = _JOB_STATES.get(job_state, ("PRINTING", f"has the state {job_state}"))
    reasons = _reasons(values, "job-state-reasons")
    if "job-completed-with-errors" in reasons:
        state = FAILURE
    words = [f"job {reference.partition(' ')[0]} {said}"]
    if state != "DONE" and (message := values.get("job-state-message")):
        words.append(str(message))
    is_stuck = job_state in (JOB_HELD, JOB_STOPPED) or state == FAILURE
    info = _info(reasons) or ("CHECK PRINTER" if is_stuck else "QUEUED" if state == "PENDING" else "NORMAL")
    return Progress(state, info if state != "DONE" else "NORMAL", ", ".join(dict.fromkeys([*words, *reasons])))


def _reasons(values: Mapping[str, Any], name: str) -> list[str]:
    return [str(each) for each in _values(values, name) if each not in _SAYS_NOTHING]


def job_template(attributes: Mapping[str, Any], film: Film, copies: int, printer: Printer) -> list[Any]:
    """Return the Job Template attributes of a page but for its medium: those that the printer has.

    Raises
    ------
    CannotRender
        The printer does not make so many copies.
    """
    import ippx

    tag = ippx.Tag
    template: list[Any] = []
    copies_max = max(map(_upper, _values(attributes, "copies-supported")), default=1)
    if copies > copies_max:
        raise CannotRender(f"printer {printer.name} makes {copies_max} copies of a page at most, not {copies}")
    if copies > 1:
        template.append(ippx.Attribute("copies", tag.INTEGER, [copies]))
    colour = "color" if film.is_colour and printer.colour else "monochrome"
    resolution = ippx.Resolution(printer.resolution_dpi, printer.resolution_dpi, DOTS_PER_INCH)
    wanted = (
        ("print-scaling", tag.KEYWORD, "none"),  # true size
        ("print-color-mode", tag.KEYWORD, colour),
        ("print-quality", tag.ENUM, HIGH_QUALITY),
        ("sides", tag.KEYWORD, "one-sided"),
        ("printer-resolution", tag.RESOLUTION, resolution),
    )
    for name, value_tag, value in wanted:
        if value in _values(attributes, f"{name}-supported"):
            template.append(ippx.Attribute(name, value_tag, [value]))
    return template


def medium_of(attributes: Mapping[str, Any], size_mm: tuple[float, float]) -> str:
    """Return the name of the medium for a page; empty if the printer takes one of this size that has no name.

    What is loaded goes before what is known, and that before a larger one. A page is printed in its own size: nothing
    smaller is taken, which would cut or shrink it. A printer that says nothing of media, as a queue of CUPS without a
    driver, gets the page in its size: its entry says what it prints on.

    Parameters
    ----------
    attributes : mapping of str to object
        Of the printer.
    size_mm : tuple of float, (width, height)
        Of the page in portrait.

    Raises
    ------
    PrinterRefused
        There is none.
    """
    if not any(_values(attributes, name) for name in ("media-ready", "media-supported", "media-size-supported")):
        return ""
    ready = dict(_sizes_mm(_values(attributes, "media-ready")))
    for name, other in (ready | dict(_sizes_mm(_values(attributes, "media-supported")))).items():
        if all(abs(a - b) <= DIFFERENCE_MAX_MM for a, b in zip(size_mm, other, strict=True)):
            return name
    if any(_holds(each, size_mm) for each in _values(attributes, "media-size-supported")):
        return ""
    larger = {name: each for name, each in ready.items() if each[0] >= size_mm[0] and each[1] >= size_mm[1]}
    if larger:
        return min(larger, key=lambda name: larger[name][0] * larger[name][1])
    loaded = ", ".join(ready) or "nothing"
    raise PrinterRefused(f"no medium for a page of {size_mm[0]:g} x {size_mm[1]:g} mm; loaded: {loaded}")


def _holds(supported: Any, size_mm: tuple[float, float]) -> bool:
    """Tell whether a size is among those of a member of media-size-supported [1/100 mm]."""
    if not isinstance(supported, Mapping):
        return False
    for name, length_mm in zip(("x-dimension", "y-dimension"), size_mm, strict=True):
        value = supported.get(name)
        least, most = value if isinstance(value, tuple) else (value, value)
        if not isinstance(least, int) or not least - 100 <= length_mm * 100 <= most + 100:
            return False
    return True


def _sizes_mm(names: Sequence[Any]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the names of media that tell their size, with it (PWG 5101.1)."""
    for name in names:
        found = _SIZE.fullmatch(str(name))
        if found is not None and not str(name).startswith(("custom_min_", "custom_max_")):
            width, height, unit = found.groups()
            yield str(name), (float(width) * _MM[unit], float(height) * _MM[unit])


def _info(reasons: Sequence[str]) -> str:
    return next((info for word, info in _INFOS if any(each.startswith(word) for each in reasons)), "")


def _values(attributes: Mapping[str, Any], name: str) -> list[Any]:
    value = attributes.get(name)
    return [] if value is None else value if isinstance(value, list) else [value]


def _upper(value: Any) -> int:
    return int(value[1] if isinstance(value, tuple) else value)
