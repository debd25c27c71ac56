"""The lines of an INI file with their numbers, read once for `reader` and for `edit`.

The grammar is configparser's, without interpolation and without inheritance from ``[DEFAULT]``:
``name = value``, comment lines with ``;`` or ``#``, comments behind a value after white space and ``;``, and
indented lines that continue a value. configparser itself ends at the first mistake and forgets line numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"\[([^\[\]]+)\]$")
_OPTION = re.compile(r"([^=]*?)\s*=\s*(.*)$", re.DOTALL)
_COMMENT = re.compile(r"(^|\s);.*$", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class IniOption:
    """An option as written; `line` counts from 1."""

    name: str
    text: str
    line: int


@dataclass(slots=True)
class IniSection:
    """A section as written.

    Parameters
    ----------
    name : str
        The text in the brackets, with single spaces.
    line : int
        Number of the line of the header, from 1.
    end_line : int
        Number of the last line that holds an option or a part of one; comments below belong to what follows.
    options : dict of str to IniOption
        The options by lower-case name.
    """

    name: str
    line: int
    end_line: int
    options: dict[str, IniOption] = field(default_factory=dict)


@dataclass(slots=True)
class IniText:
    """What was read, and what could not be read: (line number, message)."""

    sections: dict[str, IniSection] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)


def read_ini(text: str) -> IniText:
    """Read the sections and options of an INI file; mistakes are collected, never raised."""
    ini = IniText()
    section: IniSection | None = None
    option: IniOption | None = None
    for line_number, line in enumerate(split_lines(text), start=1):
        line = line.rstrip("\r\n").removeprefix("\ufeff" if line_number == 1 else "")
        if _CONTROL.search(line):
            ini.problems.append((line_number, "a control character"))
            continue
        if line.lstrip().startswith(("#", ";")) or not line.strip():
            continue
        content = _COMMENT.sub("", line).rstrip()
        if line[0].isspace() and option is not None and section is not None:
            option.text = f"{option.text}\n{content.strip()}".strip("\n")
            section.end_line = line_number
        elif content.lstrip().startswith("["):
            section, option = _open_section(ini, content.strip(), line_number), None
        else:
            option = _add_option(ini, section, content.strip(), line_number)
    return ini


def split_lines(text: str) -> list[str]:
    r"""Split a text behind each line end; of the line ends, only ``\n``, ``\r\n`` and ``\r`` count."""
    return re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", text)


def _open_section(ini: IniText, content: str, line_number: int) -> IniSection:
    """Begin a section; a wrong one is read too, and dropped, so that its options end up nowhere else."""
    match = _SECTION.match(content)
    name = " ".join(match[1].split()) if match else ""
    section = IniSection(name, line_number, line_number)
    if not name:
        ini.problems.append((line_number, f"'{content}' is not a section such as [node]"))
    elif name in ini.sections:
        ini.problems.append((line_number, f"[{name}] is defined twice, first in line {ini.sections[name].line}"))
    else:
        ini.sections[name] = section
    return section


def _add_option(ini: IniText, section: IniSection | None, content: str, line_number: int) -> IniOption | None:
    """Add an option to its section; return it unless the line is a mistake."""
    match = _OPTION.match(content)
    name = match[1].lower() if match else ""
    if section is None:
        ini.problems.append((line_number, f"'{content}' is before the first section"))
        return None
    section.end_line = line_number
    if match is None or not name:
        ini.problems.append((line_number, f"'{content}' is not of the form 'option = value'"))
        return None
    if name in section.options:
        first_line = section.options[name].line
        ini.problems.append((line_number, f"[{section.name}] {name} is given twice, first in line {first_line}"))
        return None
    option = section.options[name] = IniOption(name, match[2], line_number)
    return option
