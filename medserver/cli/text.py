"""Text for a terminal: what a peer sent, made harmless and still readable."""

from __future__ import annotations

from medserver.log import MESSAGE_LENGTH_MAX, without_controls

CELL_LENGTH_MAX = 64
COLUMN_WIDTH_MIN = 12


def printable(text: str, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """Return a text without line ends, terminal sequences and bidirectional controls.

    Unlike `medserver.log.escaped` it leaves quotes and backslashes, so that values look as they are.

    Parameters
    ----------
    text : str
        Anything.
    length_max : int
        Where the text is cut, with an ellipsis.
    """
    return without_controls(text if len(text) <= length_max else text[: length_max - 3] + "...")


def shortened(text: str, length_max: int) -> str:
    """Return a text of up to so many characters; what is longer loses its middle: the end of a UID tells it apart."""
    if len(text) <= length_max:
        return text
    kept = max(length_max - 3, 2)
    return f"{text[: kept - kept // 2]}...{text[-(kept // 2) :]}"


def fitted(widths: list[int], room: int) -> list[int]:
    """Return the widths of columns with two spaces between them in a line of some length.

    The widest are made narrower, but none than `COLUMN_WIDTH_MIN`: then the line is longer.
    """
    fitting = list(widths)
    excess = sum(fitting) + 2 * (len(fitting) - 1) - room
    while excess > 0 and max(fitting) > COLUMN_WIDTH_MIN:
        fitting[fitting.index(max(fitting))] -= 1
        excess -= 1
    return fitting


def size_in_words(size_bytes: int) -> str:
    """Return a number of bytes as people read it: ``526 kB``."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def count_in_words(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 study``, ``2 studies``, ``0 matches``, ``2 series``."""
    return f"{count} {noun if count == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    """Return the regular plural of a noun, and that of ``series``."""
    if noun.endswith("series"):
        return noun
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def duration_in_words(duration_s: float) -> str:
    """Return a number of seconds as people read it: ``3 min``."""
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if duration_s >= 2 * length_s:
            return f"{duration_s / length_s:.0f} {unit}"
    return f"{max(duration_s, 0):.0f} s"
