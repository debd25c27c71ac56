"""Sections, paragraphs and tables, and how they are written in reStructuredText."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_UNDERLINES = "=-~^\"'"
_LINE_LENGTH = 118
_MARKUP = re.compile(r"([\\*`|_])")
_LINE = re.compile(r"([!-/:-@[-`{-~])\1*")  # punctuation alone is the line above or below a title


@dataclass(frozen=True)
class Table:
    """A table with a title.

    Parameters
    ----------
    title : str
        Its title.
    header : tuple of str
        The names of the columns.
    rows : tuple of tuple of str
        The cells: plain text, no markup.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A section with what is in it.

    Parameters
    ----------
    number : str
        Its number in the layout of the statement, such as ``5.2.7``; empty for the whole document.
    title : str
        Its title.
    body : tuple of str or Table
        Paragraphs, in reStructuredText, and tables.
    sections : tuple of Section
        The sections below.
    """

    number: str
    title: str
    body: tuple[str | Table, ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}".strip()


def to_restructured_text(section: Section) -> str:
    """Write a section and all below it."""
    return "\n".join(_lines(section, 0)).rstrip() + "\n"


def plain(text: str) -> str:
    """Escape what would be markup in a paragraph."""
    escaped = _MARKUP.sub(r"\\\1", text)
    return rf"\{escaped}" if _LINE.fullmatch(escaped) else escaped


def _lines(section: Section, depth: int) -> Iterator[str]:
    heading = plain(section.heading)
    yield from (heading, _UNDERLINES[depth] * len(heading), "")
    for block in section.body:
        yield from _table_lines(block) if isinstance(block, Table) else _paragraph_lines(block)
        yield ""
    for one in section.sections:
        yield from _lines(one, depth + 1)


def _paragraph_lines(text: str) -> list[str]:
    if text.startswith(".. ") or "\n" in text:
        return text.splitlines()
    return textwrap.wrap(text, _LINE_LENGTH, break_long_words=False, break_on_hyphens=False)


def _table_lines(table: Table) -> Iterator[str]:
    yield from (f".. list-table:: {plain(table.title)}", "   :header-rows: 1", "")
    for row in (table.header, *table.rows):
        for index, cell in enumerate(row):
            yield f"   {'*' if index == 0 else ' '} - {plain(cell)}".rstrip()
