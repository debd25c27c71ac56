"""Chapter 6: every option, read from the table of options."""

from __future__ import annotations

from medserver.config.options import NAMED_SECTIONS, OPTIONS, SECTIONS, Option, options_of
from medserver.conformance.document import Section, Table
from medserver.conformance.overview import NOT_SUPPORTED

_GENERAL = tuple(section for section in SECTIONS if section not in ("store", "ae"))


WEB = "[web] enabled, address, port, processes, certificate, key; by default nothing is served."
AUDIT = "[audit]: repositories with their certificates, how long rows are kept, whether what cannot be told is done."


def configuration() -> Section:
    """Return chapter 6."""
    return Section(
        "6",
        "Configuration",
        (
            "The node reads ``config.ini``. Each option can be overridden on the command line (``--set "
            "section.option=value``) and in the environment. Changes of [ae NAME] entries take effect at "
            "once, all others when the node starts again.",
        ),
        (
            Section(
                "6.1", "General Configuration Parameters", (options_table("General parameters", *_GENERAL),)
            ),
            Section(
                "6.2",
                "Configuration of DIMSE Services",
                (
                    options_table("Storage and Query/Retrieve", "store"),
                    options_table("Remote AEs", "ae"),
                ),
            ),
            Section("6.3", "Configuration of DICOM Web Services", (WEB,)),
            Section("6.4", "Configuration of Media Storage Services", (NOT_SUPPORTED,)),
            Section("6.5", "Configuration of Real-Time Video Services", (NOT_SUPPORTED,)),
            Section("6.6", "Configuration of Audit Trail", (AUDIT,)),
        ),
    )


def options_table(title: str, *sections: str) -> Table:
    """Return the options of some sections."""
    rows = tuple(_row(option) for option in OPTIONS if option.section in sections)
    return Table(title, ("Section", "Option", "Type", "Unit", "Default", "Meaning"), rows)


def default_of(section: str, name: str) -> str:
    """Return the default of an option with its unit, for a sentence."""
    option = options_of(section)[name]
    text = str(option.default)
    return f"{text} {option.unit}" if option.unit and text.isdigit() else text


def _row(option: Option) -> tuple[str, ...]:
    section = f"[{option.section} NAME]" if option.section in NAMED_SECTIONS else f"[{option.section}]"
    return section, option.name, option.type.name, option.unit, option.default or "", option.help
