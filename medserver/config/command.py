"""A type of image processing as config.ini has it: an external program, ``[type NAME]``."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medserver.config.values import LINES, ValueType

SCOPES = ("series", "study", "instance")
ENGINES = ("auto", "podman", "docker")

NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
"""What a type can be called: its name is a Code Value, which has 16 characters at most (PS3.3 8.1)."""

MEANING_LENGTH_MAX = 64
PARAMETERS_MAX = 100

_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,15}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_KINDS = ("text", "integer", "number", "choice")
_TEXTS, _NUMBERS = ("kind", "meaning", "unit"), ("minimum", "maximum")

Fields = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class CommandType:
    """One ``[type NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry, and of the type.
    command : tuple of str
        The program and its arguments; with an image what is started in the container, empty: what the image says.
    image : str
        The image of a container; empty: the program runs on this machine.
    engine : str
        ``podman``, ``docker`` or ``auto``.
    engine_options : tuple of str
        Further options of ``podman run`` or ``docker run``.
    meaning, makes, version : str
        As those of a type.
    scope : str
        What is given to it together.
    modalities : tuple of str
        What it is given; empty: everything.
    parameters : tuple of (str, Fields)
        Name of each parameter, and names and values of its fields, as those of `processing.parameters.Parameter`.
    environment : tuple of (str, str)
        Further environment variables.
    memory_max_bytes : int
        The address space of each of its processes, or the memory of its container.
    time_max_s : float
        How long it may run [s].
    cpus : int
        On how many processors.
    files_max : int
        How many files it may write.
    output_max_bytes : int
        How much it may write.
    new_uids : bool
        Whether what it makes gets new UIDs, and says how it was made.
    """

    name: str
    command: tuple[str, ...]
    image: str
    engine: str
    engine_options: tuple[str, ...]
    meaning: str
    makes: str
    version: str
    scope: str
    modalities: tuple[str, ...]
    parameters: tuple[tuple[str, Fields], ...]
    environment: tuple[tuple[str, str], ...]
    memory_max_bytes: int
    time_max_s: float
    cpus: int
    files_max: int
    output_max_bytes: int
    new_uids: bool

    def content(self) -> list[Any]:
        """Return what decides what comes out, for a digest."""
        return [self.command, self.image, self.engine_options, self.environment, self.new_uids]


def parse_command(text: str) -> tuple[str, ...]:
    """Read a program and its arguments, quoted as for a shell, of which there is none.

    Raises
    ------
    ValueError
        A quotation does not end.
    """
    return tuple(shlex.split(text))


def parse_image(text: str) -> str:
    """Read the name of an image: ``docker.io/clinic/lungs:2``.

    Raises
    ------
    ValueError
        It can be none; an option, for one.
    """
    if _IMAGE.fullmatch(text) is None:
        raise ValueError(f"'{text}' is not the name of an image")
    return text


def parse_environment(text: str) -> tuple[tuple[str, str], ...]:
    """Read environment variables, ``NAME = value`` in a line each.

    Raises
    ------
    ValueError
        A line is none.
    """
    return tuple(_lines(text, _VARIABLE, "an environment variable"))


def parse_parameters(text: str) -> tuple[tuple[str, Fields], ...]:
    """Read parameters: JSON, an object with an object or a value for each, or ``name = text`` in a line each.

    Raises
    ------
    ValueError
        They are neither, or one contradicts itself.
    """
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"no JSON: {error}") from None
    else:
        document = dict(_lines(text, _PARAMETER, "a parameter"))
    if len(document) > PARAMETERS_MAX:
        raise ValueError(f"more than {PARAMETERS_MAX} parameters")
    return tuple((name, tuple(_fields(name, given).items())) for name, given in document.items())


def _lines(text: str, name_form: re.Pattern[str], what: str) -> Iterator[tuple[str, str]]:
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name_form.fullmatch(name) is None:
            raise ValueError(f"'{line[:40]}' is not {what}, NAME = value")
        yield name, value


def _fields(name: str, given: Any) -> dict[str, Any]:
    """Return the fields of one parameter; of a value alone it is the default.

    Raises
    ------
    ValueError
        It cannot be one.
    """
    if _PARAMETER.fullmatch(name) is None:
        raise ValueError(f"'{name[:40]}' is no name of small letters, digits and '_', 16 at most")
    fields = dict(given) if isinstance(given, Mapping) else {"default": given}
    strange = sorted(set(fields) - {*_TEXTS, *_NUMBERS, "default", "choices"})
    if strange:
        raise ValueError(f"{name}: no field '{strange[0]}' of a parameter")
    default = fields.get("default")
    fields.setdefault("kind", "choice" if fields.get("choices") else "number" if _is_number(default) else "text")
    fields.setdefault("meaning", name)
    problem = _problem(fields)
    if problem:
        raise ValueError(f"{name}: {problem}")
    fields["choices"] = tuple(fields.get("choices") or ())
    return fields


def _problem(fields: Mapping[str, Any]) -> str:
    """Return what is wrong with the fields of a parameter, "" if nothing is."""
    kind, default, choices = fields["kind"], fields.get("default"), fields.get("choices") or []
    if any(not isinstance(fields.get(each, ""), str) for each in _TEXTS):
        return f"{', '.join(_TEXTS)} are texts"
    if kind not in _KINDS:
        return f"kind is {', '.join(_KINDS)}"
    if any(fields.get(each) is not None and not _is_number(fields[each]) for each in _NUMBERS):
        return f"{', '.join(_NUMBERS)} are numbers"
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
        return "choices is a list of texts"
    if (kind == "choice") != bool(choices):
        return "a choice, and nothing else, has choices"
    if default is None:
        return ""
    if kind in ("text", "choice"):
        is_possible = isinstance(default, str) and default.isprintable() and (default in choices or not choices)
        return "" if is_possible else f"its default {default!r} is not possible"
    lowest, highest = fields.get("minimum", -math.inf), fields.get("maximum", math.inf)
    is_possible = _is_number(default) and lowest <= default <= highest
    is_whole = kind == "number" or (is_possible and float(default).is_integer())
    return "" if is_possible and is_whole else f"its default {default!r} is not possible"


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


COMMAND = ValueType("program and arguments", parse_command)
IMAGE = ValueType("name of an image", parse_image)
ENVIRONMENT = ValueType(LINES, parse_environment)
PARAMETERS = ValueType(LINES, parse_parameters)
