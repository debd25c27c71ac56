"""Changes of config.ini that keep its comments and its order.

A change is made in the text, and the new text is read as a whole. Only if it says what was asked for, and
nothing else, does it take the place of the file, in one step that survives a power cut.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from medserver import modes
from medserver.config.file import read_text
from medserver.config.ini import read_ini, split_lines
from medserver.config.options import DEFAULT_VOLUME_NAME, DEFAULT_VOLUME_PATH
from medserver.config.reader import read_config
from medserver.config.records import VolumeOptions
from medserver.config.remote import Remote
from medserver.errors import BadUsage, ConfigError

_BRACKETED_ADDRESS = re.compile(r"\[[0-9a-fA-F:.]+\](:[0-9]+)?")  # IPv6


def add_remote(path: Path, name: str, options: Mapping[str, str], *, comment: str = "") -> Remote:
    """Add a subscriber at the end of config.ini.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the entry.
    options : mapping of str to str
        Options of the section ``[ae NAME]`` and their texts.
    comment : str
        A line above the entry; empty for none.

    Returns
    -------
    Remote
        The entry as it is read back.

    Raises
    ------
    BadUsage
        If the entry exists, or a text cannot stand in the file.
    ConfigError
        If the file is wrong, before or with the new entry.
    """
    return _add_section(path, "ae", name, options, comment, _remotes)


def add_volume(path: Path, name: str, options: Mapping[str, str], *, comment: str = "") -> VolumeOptions:
    """Add a volume at the end of config.ini; parameters and errors are those of `add_remote`.

    Where the file names no volume yet, the one that is there by default is written down first: it would be gone.

    Returns
    -------
    VolumeOptions
        The entry as it is read back.
    """
    with contextlib.suppress(BadUsage):
        if not any(section.startswith("volume ") for section in read_ini(read_text(path)).sections):
            default = {"path": DEFAULT_VOLUME_PATH, "role": "primary"}
            _add_section(path, "volume", DEFAULT_VOLUME_NAME, default, "", _volumes, known=True)
    return _add_section(path, "volume", name, options, comment, _volumes)


def _add_section(
    path: Path,
    kind: str,
    name: str,
    options: Mapping[str, str],
    comment: str,
    entries: Callable[[Path, str], dict[str, Any]],
    *,
    known: bool = False,
) -> Any:
    """Add a section ``[kind name]``; `known` if the entry is there without one."""
    for what, value in {"name": name, "comment": comment, **options}.items():
        _check_text(what, value)
    section = f"{kind} {name}"
    with _locked(path):
        text = read_text(path)
        before = entries(path, text)
        if name in before and not known:
            raise BadUsage(f"{path.name} has an entry [{section}] already")
        text = _appended(text, section, options, comment)
        after = entries(path, text)
        added = after.get(name)
        others = {other: entry for other, entry in after.items() if known or other != name}
        if added is None or others != before or _written(text, section) != dict(options):
            raise BadUsage(f"[{section}] cannot be written to {path.name} so that it is read back unchanged")
        _replace(path, text)
    return added


def remove_remote(path: Path, name: str) -> Remote:
    """Remove a subscriber from config.ini; comments above its section stay.

    Returns
    -------
    Remote
        The entry that was removed.

    Raises
    ------
    BadUsage
        If there is no such entry.
    ConfigError
        If the file is wrong.
    """
    with _locked(path):
        text = read_text(path)
        before = _remotes(path, text)
        if name not in before:
            raise BadUsage(f"{path.name} has no entry [ae {name}]")
        section = read_ini(text).sections[f"ae {name}"]
        lines = split_lines(text)
        first, last = section.line - 1, section.end_line
        if last < len(lines) and not lines[last].strip():
            last += 1  # the empty line that set it apart
        text = "".join(lines[:first] + lines[last:])
        after = _remotes(path, text)
        removed = before.pop(name)
        if after != before:
            raise BadUsage(f"[ae {name}] cannot be removed from {path.name} without changing other entries")
        _replace(path, text)
    return removed


def change_remote(path: Path, name: str, options: Mapping[str, str]) -> Remote:
    """Set options of a subscriber in config.ini, and leave its others as they are.

    Returns
    -------
    Remote
        The entry as it is read back.

    Raises
    ------
    BadUsage
        If there is no such entry, or a text cannot stand in the file.
    ConfigError
        If the file is wrong, before or with the change.
    """
    for what, value in options.items():
        _check_text(what, value)
    section = f"ae {name}"
    with _locked(path):
        text = read_text(path)
        before = _remotes(path, text)
        if name not in before:
            raise BadUsage(f"{path.name} has no entry [{section}]")
        wanted = _written(text, section) | dict(options)
        text = _changed(text, section, options)
        after = _remotes(path, text)
        changed = after.pop(name, None)
        others = {other: entry for other, entry in before.items() if other != name}
        if changed is None or after != others or _written(text, section) != wanted:
            raise BadUsage(f"[{section}] cannot be changed in {path.name} so that it is read back unchanged")
        _replace(path, text)
    return changed


def _changed(text: str, section: str, options: Mapping[str, str]) -> str:
    """Return a text with other options in a section: in the place of those that it has, the others at its end."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = split_lines(text)
    found = read_ini(text).sections[section]
    if not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    added = [f"{name} = {value}{end}" for name, value in options.items() if name not in found.options]
    lines[found.end_line : found.end_line] = added
    for option in sorted(found.options.values(), key=lambda one: one.line, reverse=True):
        if option.name in options:
            last = option.line
            while last < found.end_line and lines[last][:1].isspace() and lines[last].strip():
                last += 1  # lines that continue its value
            lines[option.line - 1 : last] = [f"{option.name} = {options[option.name]}{end}"]
    return "".join(lines)


def _appended(text: str, section: str, options: Mapping[str, str], comment: str) -> str:
    """Return a text with one more entry at its end, set apart by an empty line."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [f"; {comment}"] if comment else []
    lines += [f"[{section}]", *(f"{option} = {value}".rstrip() for option, value in options.items())]
    separator = "" if not text else end if text.endswith(("\n", "\r")) else end * 2
    return text + separator + end.join(lines) + end


def _check_text(what: str, text: str) -> None:
    """Refuse a text that would be read back as something else."""
    if any(not character.isprintable() for character in text):
        raise BadUsage(f"{what}: {text!a} holds a line end or another control character")
    brackets = set("[]") & set(text)
    if brackets and not (what == "address" and _BRACKETED_ADDRESS.fullmatch(text)):
        raise BadUsage(f"{what}: {text!a} holds a square bracket")
    if text != text.strip() or text.startswith(";") or " ;" in text:
        raise BadUsage(f"{what}: {text!a} cannot be written: spaces around it, or a semicolon after a space")


def _remotes(path: Path, text: str) -> dict[str, Remote]:
    """Read the whole text and return its subscribers."""
    config = read_config(text, base=path.parent, file_name=path.name).config
    return {remote.name: remote for remote in config.remotes}


def _volumes(path: Path, text: str) -> dict[str, VolumeOptions]:
    """Read the whole text and return its volumes."""
    config = read_config(text, base=path.parent, file_name=path.name).config
    return {volume.name: volume for volume in config.volumes}


def _written(text: str, section: str) -> dict[str, str]:
    """Return the options of an entry as they stand in a text."""
    return {option.name: option.text for option in read_ini(text).sections[section].options.values()}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other editors of this program out until the file has been replaced."""
    while True:
        with _opened(path) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if _is_at(stream, path):
                yield
                return
            # Somebody has replaced the file while we waited: lock the new one.


def _opened(path: Path) -> BinaryIO:
    """Open the file to lock it."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _is_at(stream: BinaryIO, path: Path) -> bool:
    """Tell whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _replace(path: Path, text: str) -> None:
    """Put a new text in the place of the file: whole or not at all, with the same permissions."""
    target = Path(os.path.realpath(path))
    status = target.stat()
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(text.encode("utf-8"))
                os.fchmod(descriptor, status.st_mode & 0o7777)
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
                stream.flush()
                os.fsync(descriptor)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
        modes.flush_directory(target.parent)
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}") from None
