"""The command line of an external program, its environment, and the container that it may run in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medserver.config import CommandType
from medserver.errors import CommandFailed
from medserver.processing.parameters import Values

IN_CONTAINER, OUT_CONTAINER = "/tmp/data", "/tmp/output"  # noqa: S108 - as mercure has them
"""Where the folders lie in a container: as mercure has them, for modules that do not ask."""

IN_VARIABLES = ("MERCURE_IN_DIR", "MONAI_INPUTPATH", "HOLOSCAN_INPUT_PATH")
OUT_VARIABLES = ("MERCURE_OUT_DIR", "MONAI_OUTPUTPATH", "HOLOSCAN_OUTPUT_PATH")
WORK_VARIABLES = ("MONAI_WORKDIR", "HOLOSCAN_WORKDIR", "HOME", "TMPDIR")
"""Folders, by the names that mercure, MONAI Deploy and Holoscan have for them; the last are set outside of containers
only: an image has its own."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PARAMETER_PREFIX = "PARAMETER_"
"""Before the name of a parameter, in capitals: ``PARAMETER_THRESHOLD``."""

OPEN_FILES_MAX = 1024
PROCESSES_MAX = 1024
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one application.

    Parameters
    ----------
    inputs, outputs, work : Path
        Of what goes in, of what comes out, and of what is needed meanwhile: the working directory.
    """

    inputs: Path
    outputs: Path
    work: Path


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a program is started, and what is done when it has ended.

    Parameters
    ----------
    arguments : tuple of str
        The program and its arguments.
    environment : Mapping of str to str
        All its variables.
    is_confined : bool
        Whether it is limited itself; a container is by what runs it.
    afterwards : tuple of (tuple of str)
        Commands that remove what may be left.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    is_confined: bool = True
    afterwards: tuple[tuple[str, ...], ...] = ()


def invocation(entry: CommandType, place: Place, parameters: Mapping[str, Values], name: str) -> Invocation:
    """Return how a program is started.

    Parameters
    ----------
    entry : CommandType
        The program.
    place : Place
        Its folders.
    parameters : Mapping
        The values of its parameters.
    name : str
        Of the container, if it runs in one: no other one has it.

    Raises
    ------
    CommandFailed
        There is nothing that runs containers.
    """
    if entry.image:
        return _in_container(entry, place, parameters, name)
    arguments = _filled(entry.command, os.fspath(place.inputs), os.fspath(place.outputs))
    variables = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", **dict.fromkeys(THREAD_VARIABLES, str(entry.cpus))}
    variables |= dict.fromkeys(WORK_VARIABLES, os.fspath(place.work))
    variables |= _variables(entry, os.fspath(place.inputs), os.fspath(place.outputs), parameters)
    return Invocation(arguments, variables)


def _in_container(
    entry: CommandType, place: Place, parameters: Mapping[str, Values], name: str
) -> Invocation:
    engine = _engine(entry.engine)
    arguments = [engine, "run", "--rm", "--name", name, "--network", "none", "--pull", "missing"]
    arguments += ["-v", f"{place.inputs}:{IN_CONTAINER}", "-v", f"{place.outputs}:{OUT_CONTAINER}"]
    arguments += ["--memory", f"{entry.memory_max_bytes}b", "--cpus", str(entry.cpus)]
    arguments += ["--pids-limit", str(PROCESSES_MAX), "--cap-drop", "all", "--security-opt", "no-new-privileges"]
    limits = {"core": 0, "nofile": OPEN_FILES_MAX, "fsize": entry.output_max_bytes}
    for limit, value in limits.items():
        arguments += ["--ulimit", f"{limit}={value}:{value}"]
    arguments += _user(engine)
    for variable, value in _variables(entry, IN_CONTAINER, OUT_CONTAINER, parameters).items():
        arguments += ["-e", f"{variable}={value}"]
    arguments += [*entry.engine_options, entry.image, *_filled(entry.command, IN_CONTAINER, OUT_CONTAINER)]
    kept = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST", "DBUS_SESSION_BUS_ADDRESS")
    environment = {variable: os.environ[variable] for variable in kept if variable in os.environ}
    return Invocation(tuple(arguments), environment, False, ((engine, "rm", "-f", name),))


def _engine(wanted: str) -> str:
    """Return the path of the program that runs containers.

    Raises
    ------
    CommandFailed
        It is not installed.
    """
    names = ("podman", "docker") if wanted == "auto" else (wanted,)
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise CommandFailed(f"no {' or '.join(names)} is installed, which would run the container")
    return found


def _user(engine: str) -> list[str]:
    """Return the options by which what is made in a container belongs to this user, who can then remove it."""
    if os.path.basename(engine) == "podman":  # whose containers are this user's already
        return [] if os.geteuid() == 0 else ["--userns", "keep-id"]
    return ["--user", f"{os.geteuid()}:{os.getegid()}"]


def _filled(command: tuple[str, ...], inputs: str, outputs: str) -> tuple[str, ...]:
    return tuple(part.replace("{in}", inputs).replace("{out}", outputs) for part in command)


def _variables(entry: CommandType, inputs: str, outputs: str, parameters: Mapping[str, Values]) -> dict[str, str]:
    """Return the variables that a program has wherever it runs; those of the entry go before ours."""
    variables = dict.fromkeys(IN_VARIABLES, inputs) | dict.fromkeys(OUT_VARIABLES, outputs)
    return variables | dict(_parameter_variables(parameters)) | dict(entry.environment)


def _parameter_variables(parameters: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    for name, values in parameters.items():
        text = ",".join(map(str, values)) if isinstance(values, tuple) else str(values)
        yield f"{PARAMETER_PREFIX}{name.upper()}", text
