"""How one value of config.ini is read: a parser takes text, and returns a value or raises ValueError.

Here: the types of the options. Not here: which options there are (`options`).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from medserver.config.addresses import IPNetwork, parse_host, parse_host_and_port, parse_network
from medserver.config.hours import Hours
from medserver.config.remote import SERVICES
from medserver.config.security import parse_certificates
from medserver.dicom.syntax_names import transfer_syntax_named
from medserver.dicom.uids import is_valid_uid

AE_TITLE_LENGTH_MAX = 16
PROCESSES_MAX = 64

LINES = "lines"
"""The name of the types in whose values the line ends say something."""

_SIZE = re.compile(r"([0-9][0-9_]*)\s*(B|KiB|MiB|GiB|TiB)?", re.IGNORECASE)
_SIZE_FACTORS = {"b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|min|h|d)")
_DURATION_FACTORS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.-]{1,128}")
REPOSITORY_PORTS = {"tls": 6514, "udp": 514}
"""The schemes of audit repositories, and their ports (RFC 5425 4.1, RFC 5426 3.3)."""
_INDEX_SCHEMES = ("sqlite", "postgresql")
_JOBS_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class ValueType:
    """A kind of value: its name for people, and how to read it."""

    name: str
    parse: Callable[[str], Any]


def closest(word: str, valid: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` with the nearest valid word, in any case, else the list of valid words."""
    words = {each.lower(): each for each in valid}
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    return f" (did you mean '{words[near[0]]}'?)" if near else f" (valid: {', '.join(words.values())})"


def split_list(text: str) -> list[str]:
    """Split a list at commas, spaces and line ends."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def parse_ae_title(text: str) -> str:
    """Read an AE title: 1 to 16 characters of the default repertoire without backslash (PS3.5 6.2)."""
    if not 1 <= len(text) <= AE_TITLE_LENGTH_MAX:
        raise ValueError(f"an AE title has 1 to {AE_TITLE_LENGTH_MAX} characters, '{text}' has {len(text)}")
    if not (text.isascii() and text.isprintable()) or "\\" in text:
        raise ValueError(f"an AE title holds ASCII characters without controls and backslash, not {text!a}")
    return text


def _parse_integer(text: str, minimum: int, maximum: int) -> int:
    if not re.fullmatch(r"[0-9][0-9_]{0,19}", text):
        raise ValueError(f"'{text}' is not a whole number")
    return _within(int(text), minimum, maximum)


def _parse_size(text: str, minimum: int, maximum: int) -> int:
    match = _SIZE.fullmatch(text)
    if match is None or len(text) > 24:
        raise ValueError(f"'{text}' is not a number of bytes such as 131072 or 16 GiB")
    return _within(int(match[1]) * _SIZE_FACTORS[(match[2] or "b").lower()], minimum, maximum)


def _parse_seconds(text: str, minimum: float, maximum: float) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError(f"'{text}' is not a number of seconds")
    return _within(float(text), minimum, maximum)


def _parse_number(text: str, minimum: float, maximum: float) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError(f"'{text}' is not a number")
    return _within(float(text), minimum, maximum)


def _parse_duration(text: str, minimum: float, maximum: float) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a duration such as 12 h or 30 d")
    return _within(float(match[1]) * _DURATION_FACTORS[match[2]], minimum, maximum)


def _within(number: Any, minimum: Any, maximum: Any) -> Any:
    if not minimum <= number <= maximum:
        raise ValueError(f"{number} is not within {minimum} and {maximum}")
    return number


def parse_processes(text: str) -> int:
    """Read a number of processes; ``auto`` is the number of cores that this process may use."""
    if text.lower() == "auto":
        return min(len(os.sched_getaffinity(0)), PROCESSES_MAX)
    return _parse_integer(text, 1, PROCESSES_MAX)


def parse_path(text: str) -> Path:
    """Read a path; ``~`` is the home directory. Relative paths stay relative."""
    if not text:
        raise ValueError("a path is needed")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # no such user, no home
        raise ValueError(str(error)) from None


def parse_index_url(text: str) -> str:
    """Read the URL of a database."""
    parts = urlsplit(text)
    if parts.scheme not in _INDEX_SCHEMES or "://" not in text:
        raise ValueError(f"'{without_password(text)}' does not begin with sqlite:/// or postgresql://")
    if parts.scheme == "sqlite" and (parts.netloc or not parts.path.strip("/")):
        raise ValueError("a SQLite URL is sqlite:/// and the path of a file")
    if parts.scheme != "sqlite" and not _is_encoded(text):
        # libpq would take a part of the password for the name of a machine, and repeat it.
        raise ValueError("'@', '/', '?', '#', '%' and ' ' in a name or password are written as %40, %2F, %3F, %23 ...")
    return text


def _is_encoded(url: str) -> bool:
    """Tell whether each sign that means something in a URL can mean just that."""
    authority, behind = re.fullmatch(r"[^:]*://([^/?#]*)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    has_wrong_sign = re.search(r"\s|#|%(?![0-9A-Fa-f]{2})", url) is not None
    return not has_wrong_sign and authority.count("@") <= 1 and "@" not in behind


def parse_jobs_url(text: str) -> str:
    """Read the URL of a Redis, or ``index``."""
    if text.lower() == "index":
        return "index"
    parts = urlsplit(text)
    if parts.scheme not in _JOBS_SCHEMES or not (parts.hostname or parts.path.strip("/")):
        raise ValueError(f"'{without_password(text)}' is neither index nor like redis://HOST:PORT/NUMBER")
    return text


def parse_bucket_url(text: str) -> str:
    """Read where a volume in a bucket begins: ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``."""
    parts = urlsplit(text)
    # What stands before an @ would be a secret: it is neither taken nor repeated.
    if _BUCKET.fullmatch(parts.netloc) is None or parts.scheme != "s3" or parts.query or parts.fragment:
        raise ValueError("not of the form s3://BUCKET/PREFIX, without user, password and options")
    if not all(_PREFIX.fullmatch(name) for name in parts.path.strip("/").split("/") if parts.path.strip("/")):
        raise ValueError("a prefix is made of letters, digits, '_', '-' and '.', with '/' between them")
    return f"s3://{parts.netloc}{parts.path.rstrip('/')}"


def parse_endpoint_url(text: str) -> str:
    """Read the URL of a service, without a password in it."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("not of the form https://HOST:PORT, without user, password and options")
    parse_host(parts.hostname)
    if parts.port == 0:
        raise ValueError("'0' is not a port")
    return text.rstrip("/")


def parse_repositories(text: str) -> tuple[str, ...]:
    """Return the URLs of audit repositories, each with its port: ``tls://host:6514, udp://host:514``."""
    urls: list[str] = []
    for word in split_list(text):
        scheme, separator, rest = word.partition("://")
        if not separator or scheme not in REPOSITORY_PORTS:
            raise ValueError(f"{word!r} is not of the form tls://HOST:PORT or udp://HOST:PORT")
        host, port = parse_host_and_port(rest)
        shown = f"[{host}]" if ":" in host else host
        urls.append(f"{scheme}://{shown}:{REPOSITORY_PORTS[scheme] if port is None else port}")
    return tuple(dict.fromkeys(urls))


def parse_section_name(text: str) -> str:
    """Read what names a section: ``NAME`` of ``[volume NAME]``."""
    if not text.isprintable() or not 1 <= len(text) <= 64:
        raise ValueError(f"{text!a:.80} is no name")
    return text


def parse_token(text: str) -> str:
    """Read a word of letters, digits and hyphens."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise ValueError(f"{text!a} is not a word of letters, digits and '-'")
    return text


def without_password(url: str) -> str:
    """Return a URL with ``***`` in the place of a password, be it before the host or among the parameters.

    Who writes it may have left a character as it is that has to be written with ``%``: what stands before the last
    ``@`` is taken for the password whatever is in it, rather than shown.
    """
    url = re.sub(r"(//[^/@?#]*?:).*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"([?&;])([^=?&;]*)=([^?&;]*)", _without_value, url)


def _without_value(parameter: re.Match[str]) -> str:
    """Return a parameter, without its value if that is a password: of libpq, ``password`` and ``sslpassword``."""
    begins, name, _ = parameter.groups()
    return f"{begins}{name}=***" if "password" in unquote(name).lower() else parameter[0]


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """Read a list of addresses and networks."""
    return tuple(parse_network(word) for word in split_list(text))


def parse_services(text: str) -> frozenset[str]:
    """Read a list of services, in any case."""
    words = [word.lower() for word in split_list(text)]
    unknown = [f"no service '{word}'{closest(word, SERVICES)}" for word in words if word not in SERVICES]
    if unknown:
        raise ValueError("; ".join(unknown))
    return frozenset(words)


def parse_transfer_syntaxes(text: str) -> tuple[str, ...]:
    """Read a list of transfer syntaxes, each by its short name, keyword or UID; keep the order."""
    return tuple(dict.fromkeys(map(transfer_syntax_named, split_list(text))))


def parse_uids(text: str) -> tuple[str, ...]:
    """Read a list of UIDs."""
    words = split_list(text)
    invalid = [f"'{word}'" for word in words if not is_valid_uid(word)]
    if invalid:
        raise ValueError(f"not a UID: {', '.join(invalid)}")
    return tuple(words)


def _parse_choice(text: str, choices: tuple[str, ...]) -> str:
    if text.lower() not in choices:
        raise ValueError(f"'{text}' is not one of {', '.join(choices)}")
    return text.lower()


def integer(minimum: int, maximum: int) -> ValueType:
    """Return the type of whole numbers between two bounds."""
    return ValueType("integer", lambda text: _parse_integer(text, minimum, maximum))


def size(minimum: int, maximum: int) -> ValueType:
    """Return the type of numbers of bytes between two bounds; ``KiB MiB GiB TiB`` may follow."""
    return ValueType("size", lambda text: _parse_size(text, minimum, maximum))


def number(minimum: float, maximum: float) -> ValueType:
    """Return the type of numbers between two bounds."""
    return ValueType("number", lambda text: _parse_number(text, minimum, maximum))


def integer_or_none(minimum: int, maximum: int) -> ValueType:
    """Return the type of whole numbers between two bounds, or ``none``."""
    return ValueType(
        "integer or none", lambda text: None if text.lower() == "none" else _parse_integer(text, minimum, maximum)
    )


def seconds(minimum: float, maximum: float) -> ValueType:
    """Return the type of durations between two bounds."""
    return ValueType("seconds", lambda text: _parse_seconds(text, minimum, maximum))


def duration(minimum: float, maximum: float) -> ValueType:
    """Return the type of durations with their unit, ``s min h d``, between two bounds in seconds."""
    return ValueType("duration", lambda text: _parse_duration(text, minimum, maximum))


def duration_or_never(minimum: float, maximum: float) -> ValueType:
    """Return the type of durations as `duration` reads them, or 0 for never."""
    return ValueType("duration | 0", lambda text: 0.0 if text == "0" else _parse_duration(text, minimum, maximum))


def _parse_changes(name: str, text: str) -> Any:
    """Read what a rule changes; the data dictionary is loaded only where there is something."""
    if not text:
        return ()
    from medserver.config import changes

    return getattr(changes, f"parse_{name}")(text)


def parse_hours(text: str) -> Hours:
    """Read from which hour of the day to which."""
    match = re.fullmatch(r"([0-9]{1,2})\s*-\s*([0-9]{1,2})", text)
    if match is None or not (int(match[1]) < 24 and 0 < int(match[2]) <= 24) or int(match[1]) == int(match[2]):
        raise ValueError(f"'{text}' is not from one hour to another, such as 20-6")
    return Hours(int(match[1]), int(match[2]))


def parse_names(text: str) -> tuple[str, ...]:
    """Read the names of entries, with commas between them; a name may hold spaces."""
    names = tuple(dict.fromkeys(name for part in text.split(",") if (name := " ".join(part.split()))))
    if not names:
        raise ValueError("at least one name is needed")
    return names


def parse_text(text: str) -> str:
    """Read a text that says something."""
    if not text:
        raise ValueError("it is empty")
    return text


def choice(*choices: str) -> ValueType:
    """Return the type of one word of several."""
    return ValueType(" | ".join(choices), lambda text: _parse_choice(text, choices))


def choices(*choices: str) -> ValueType:
    """Return the type of a list of words, each one of several."""
    return ValueType(
        f"list of {', '.join(choices)}",
        lambda text: tuple(dict.fromkeys(_parse_choice(word, choices).lower() for word in split_list(text))),
    )


YES_OR_NO = ValueType("yes | no", lambda text: _parse_choice(text, ("yes", "no")) == "yes")
AE_TITLE = ValueType("AE title", parse_ae_title)
HOST = ValueType("host", parse_host)
HOST_AND_PORT = ValueType("host:port", parse_host_and_port)
HOST_AND_PORT_OR_NONE = ValueType(
    "host:port or none", lambda text: None if text.lower() == "none" else parse_host_and_port(text)
)
NETWORKS = ValueType("networks", parse_networks)
CERTIFICATES = ValueType("certificates", parse_certificates)
CHANGES = {
    name: ValueType(LINES, lambda text, name=name: _parse_changes(name, text)) for name in ("set", "remove", "map")
}
HOURS = ValueType("hours", parse_hours)
NAME_LIST = ValueType("names", parse_names)
NAME_LIST_OR_NONE = ValueType("names", lambda text: parse_names(text) if text.strip() else ())
TEXT = ValueType("text", parse_text)
SERVICE_LIST = ValueType("services", parse_services)
UIDS = ValueType("UIDs", parse_uids)
TRANSFER_SYNTAX_LIST = ValueType("transfer syntaxes", parse_transfer_syntaxes)
TEXT_OR_NONE = ValueType("text | none", lambda text: None if text == "none" else parse_text(text))
PATH = ValueType("path", parse_path)
PATH_OR_NONE = ValueType("path or none", lambda text: None if text.lower() == "none" else parse_path(text))
PROCESSES = ValueType("auto | integer", parse_processes)
INDEX_URL = ValueType("URL", parse_index_url)
JOBS_URL = ValueType("index | URL", parse_jobs_url)
BUCKET_URL = ValueType("s3 URL", parse_bucket_url)
ENDPOINT_URL = ValueType("URL", parse_endpoint_url)
TOKEN = ValueType("word", parse_token)
USERS = ValueType("users", lambda text: tuple(dict.fromkeys(split_list(text))))
REPOSITORIES = ValueType("URLs", parse_repositories)
SECTION_NAME = ValueType("name", parse_section_name)
