"""What of rendering needs Pillow: scaling, drawing, writing of pictures."""

from __future__ import annotations

from importlib.util import find_spec

from medserver.errors import CannotRender


def need_pillow(what: str) -> None:
    """Refuse what cannot be done without Pillow.

    Parameters
    ----------
    what : str
        What is to be done, for the message.

    Raises
    ------
    CannotRender
        Pillow is not installed.
    """
    if find_spec("PIL") is None:
        raise CannotRender(f"{what} needs the extra 'imaging'")
