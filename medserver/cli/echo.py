"""``medserver echo``: does a remote AE answer (C-ECHO, PS3.4 A)?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import click

from medserver.cli.invocation import echo_json, json_option
from medserver.cli.peer import Peer, failure, peer_argument
from medserver.dicom import status
from medserver.scu import verification


@click.command()
@peer_argument
@click.option(
    "--count", metavar="N", type=click.IntRange(min=1), default=1, show_default=True, help="How often to ask."
)
@json_option
def command(peer: Peer, count: int, as_json: bool) -> None:
    """Send a C-ECHO to PEER and show how long the answer took.

    PEER is the name of an [ae NAME] entry or AE@host:port.
    """
    round_trips_ms = []
    for round_trip_ms in _round_trips(peer, count):
        round_trips_ms.append(round_trip_ms)
        if not as_json:
            click.echo(f"{peer.address} answered in {round_trip_ms:.1f} ms")
    if as_json:
        echo_json({"peer": str(peer.address), "round_trips_ms": [round(one, 3) for one in round_trips_ms]})
    elif count > 1:
        shortest, longest = min(round_trips_ms), max(round_trips_ms)
        median = statistics.median(round_trips_ms)
        click.echo(
            f"{count} answers: minimum {shortest:.1f} ms, median {median:.1f} ms, maximum {longest:.1f} ms"
        )


def _round_trips(peer: Peer, count: int) -> Iterator[float]:
    """Yield the time between each request and its answer [ms].

    Raises
    ------
    RemoteError
        The remote AE cannot be reached, or answers anything but success.
    """
    with peer.associated([verification.PROPOSAL]) as association:
        for _ in range(count):
            started_at = time.monotonic()
            response = verification.echo(association)
            round_trip_ms = (time.monotonic() - started_at) * 1000
            if response.code != status.SUCCESS:
                raise failure(peer, "C-ECHO", response)
            yield round_trip_ms
