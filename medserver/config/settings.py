"""What is set and by whom: config.ini, then the environment, then ``--set``; the later wins.

Here: texts and where they come from. Not here: what they mean (`reader`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from medserver.config.ini import read_ini
from medserver.config.options import NAMED_SECTIONS

ENVIRONMENT_PREFIX = "MEDSERVER__"
DEFAULT_ORIGIN = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """The text of one option.

    Parameters
    ----------
    section : str
        Name of the section, such as ``node`` or ``ae CT1``.
    option : str
        Name of the option.
    text : str
        The value as written.
    origin : str
        Who says so: ``config.ini line 7``, ``environment MEDSERVER__NODE__PORT``, ``--set`` or ``default``.
    """

    section: str
    option: str
    text: str
    origin: str


@dataclass(slots=True)
class Settings:
    """All that is set.

    Parameters
    ----------
    sections : dict of str to dict of str to Setting
        Options by section, both by name.
    origins : dict of str to str
        Where each section is first named.
    problems : list of str
        What cannot be read.
    """

    sections: dict[str, dict[str, Setting]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, setting: Setting) -> None:
        """Set an option, in place of what was set before."""
        self.sections.setdefault(setting.section, {})[setting.option] = setting
        self.origins.setdefault(setting.section, setting.origin)


def collect_settings(
    text: str, file_name: str, environ: Mapping[str, str] | None = None, overrides: Iterable[str] = ()
) -> Settings:
    """Put together what the file, the environment and the command line say.

    Parameters
    ----------
    text : str
        The content of the file.
    file_name : str
        Its name, for messages.
    environ : mapping of str to str
        Environment variables; those that begin with ``MEDSERVER__`` are read.
    overrides : iterable of str
        Texts of the form ``section.option=value``.
    """
    settings = Settings()
    ini = read_ini(text)
    settings.problems += [f"{file_name} line {line}: {message}" for line, message in ini.problems]
    for section in ini.sections.values():
        settings.sections.setdefault(section.name, {})
        settings.origins[section.name] = f"{file_name} line {section.line}"
        for option in section.options.values():
            settings.put(Setting(section.name, option.name, option.text, f"{file_name} line {option.line}"))
    for name in sorted(environ or {}):
        if name.startswith(ENVIRONMENT_PREFIX):
            _put_variable(settings, name, environ[name])
    for override in overrides:
        _put_override(settings, override)
    return settings


def _put_variable(settings: Settings, name: str, text: str) -> None:
    """Take over ``MEDSERVER__NODE__PORT`` or ``MEDSERVER__AE__CT1__ALLOW``."""
    if _has_control_character(name + text):
        settings.problems.append(f"environment {name!a}: a control character")
        return
    parts = name.removeprefix(ENVIRONMENT_PREFIX).split("__")
    kind = parts[0].lower()
    parts_expected = 3 if kind in NAMED_SECTIONS else 2
    if len(parts) != parts_expected or not all(parts):
        form = "KIND__NAME__OPTION" if parts_expected == 3 else "SECTION__OPTION"
        settings.problems.append(f"environment {name}: not of the form {ENVIRONMENT_PREFIX}{form}")
        return
    section = _section_as_written(settings, " ".join([kind, *parts[1:-1]]))
    settings.put(Setting(section, parts[-1].lower(), text.strip(), f"environment {name}"))


def _section_as_written(settings: Settings, section: str) -> str:
    """Return the section of this name as the file has it: variables are mostly in upper case."""
    if section in settings.sections:
        return section
    return next((name for name in settings.sections if name.lower() == section.lower()), section)


def _put_override(settings: Settings, override: str) -> None:
    """Take over ``section.option=value``; the name of a section may hold a dot, that of an option not."""
    if _has_control_character(override):
        settings.problems.append(f"--set {override!a}: a control character")
        return
    place, equals, text = override.partition("=")
    section, dot, option = place.rpartition(".")
    if not (equals and dot and section.strip() and option.strip()):
        settings.problems.append(f"--set {override!a}: not of the form section.option=value")
        return
    section, option = " ".join(section.split()), option.strip().lower()
    settings.put(Setting(section, option, text.strip(), "--set"))


def _has_control_character(text: str) -> bool:
    """Tell whether a text from outside holds what cannot stand in a line of the file."""
    return any(ord(character) < 0x20 or character == "\x7f" for character in text)
