"""The configuration of a node that is a hard-copy device, made of a few options of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from medserver import modes
from medserver.config.file import read_text
from medserver.config.ini import read_ini
from medserver.config.printer import DICOM, IPP, PDF
from medserver.config.reader import read_config
from medserver.errors import BadUsage

FILE_NAME = "config.ini"

PRINTER = "printer"
"""The name of its printer."""

OF_CLIENTS, OF_SOURCES = "echo, store, process, print", "echo, store"
"""What those may do who have printed, and those from whom images are fetched: C-MOVE has them send."""

DEFAULTS: Mapping[tuple[str, str], str] = {
    ("node", "ae_title"): "PRINTER",
    ("node", "port"): "11112",
    ("node", "data"): "data",
    (f"printer {PRINTER}", "output"): PDF,
    (f"printer {PRINTER}", "folder"): "../films",
}

Sections = Mapping[str, Mapping[str, str]]


def device_configuration(
    node: Mapping[str, str | None],
    printer: Mapping[str, str | None],
    *,
    sources: Iterable[str] = (),
    clients: Iterable[str] = (),
    imager: str | None = None,
) -> Sections:
    """Return what options say of the configuration of a hard-copy device.

    Parameters
    ----------
    node, printer : Mapping of str to (str or None)
        Options of their sections; None: not given. Of ``folder``, ``url`` and ``imager`` at most one.
    sources, clients : iterable of str
        ``AE@host:port`` from which images are fetched, ``AE@host`` of who may have printed.
    imager : str or None
        ``AE@host:port`` of the DICOM imager that prints.

    Raises
    ------
    BadUsage
        They contradict each other, or one is not of its form.
    """
    outputs = {PDF: printer.get("folder"), IPP: printer.get("url"), DICOM: imager}
    given = [output for output, text in outputs.items() if text is not None]
    if len(given) > 1:
        raise BadUsage("it prints to --pdf, to --url or to --imager: say one of them")
    found = {"node": _given(node), f"printer {PRINTER}": _given(printer) | {"output": each for each in given}}
    entries = [(text, OF_SOURCES) for text in sources] + [(text, OF_CLIENTS) for text in clients]
    if imager is not None:
        found[f"printer {PRINTER}"]["destination"] = _parts(imager)[0]
        entries.append((imager, ""))
    for text, allow in entries:
        name, address = _parts(text)
        found[f"ae {name}"] = {"address": address, "allow": allow}
    return found


def _given(options: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in options.items() if text is not None}


def _parts(text: str) -> tuple[str, str]:
    name, at, where = (part.strip() for part in text.partition("@"))
    if not at or not name or not where:
        raise BadUsage(f"{text[:64]!a} is not of the form AE@host or AE@host:port")
    return name, where


def prepare_device(folder: Path, sections: Sections) -> Path:
    """Write the configuration of a hard-copy device into its folder, unless it is there; return the file.

    Raises
    ------
    BadUsage
        One that is there says something else than the options.
    ConfigError
        It is wrong; nothing is written.
    """
    path = folder / FILE_NAME
    if path.exists():
        _compare(path, sections)
        return path
    modes.make_directories(folder)
    text = "\n".join(
        f"[{name}]\n" + "".join(f"{option} = {value}\n".replace(" \n", "\n") for option, value in options.items())
        for name, options in _with_defaults(sections).items()
    )
    read_config(text, base=folder, file_name=str(path))
    if any(not character.isprintable() and character != "\n" for character in text):
        raise BadUsage("an option holds a control character")
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    modes.flush_directory(folder)
    return path


def _with_defaults(sections: Sections) -> dict[str, dict[str, str]]:
    whole = {name: dict(options) for name, options in sections.items()}
    has_output = "output" in whole.get(f"printer {PRINTER}", {})
    for (section, option), text in DEFAULTS.items():
        if not (section.startswith("printer") and has_output):
            whole.setdefault(section, {}).setdefault(option, text)
    return whole


def _compare(path: Path, sections: Sections) -> None:
    present = read_ini(read_text(path)).sections
    for name, options in sections.items():
        there = present[name].options if name in present else {}
        for option, text in options.items():
            if option not in there or there[option].text != text:
                says = f"{option} = {there[option].text}" if option in there else f"no {option}"
                raise BadUsage(f"{path} has [{name}] {says}: change it there, or leave the option out")
