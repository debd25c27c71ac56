"""``medserver processing derivations``: what was made from what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.dicom.uids import is_valid_uid
from medserver.errors import BadUsage

if TYPE_CHECKING:
    from medserver.processing.lineage import Part, Step

_INDENT = "  "


@click.command()
@click.argument("uid", metavar="UID")
@json_option
@pass_invocation
def derivations(invocation: Invocation, uid: str, as_json: bool) -> None:
    """Show what was made from what: all that led to UID and all that was made of it, over any number of steps.

    UID is that of an instance, a series or a work item of processing. Below each series stands what was made of it, and
    whether that is still stored here.
    """
    if not is_valid_uid(uid):
        raise BadUsage(f"{printable(uid, CELL_LENGTH_MAX) or 'an empty text'} is not a UID")
    from medserver.node import open_node  # --help does without
    from medserver.processing.lineage import lineage_of

    with closing(open_node(invocation.config_file)) as node:
        steps = lineage_of(node, uid)
    if as_json:
        echo_json([_described(step) for step in steps])
        return
    for line in _Tree(steps).lines():
        click.echo(line)


class _Tree:
    """The steps as lines: each series with what was made of it below; what comes a second time is not unfolded again.

    Parameters
    ----------
    steps : sequence of Step
        In the order of time.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._told: set[str] = set()

    def lines(self) -> Iterator[str]:
        """Yield all lines."""
        made = {part.series_instance_uid for step in self._steps for part in step.after}
        roots = [part for step in self._steps for part in step.before if part.series_instance_uid not in made]
        for part in [*roots, *(part for step in self._steps for part in step.before)]:
            if part.series_instance_uid not in self._told:
                yield f"series {part.series_instance_uid}  {_stored_in_words(part)}"
                yield from self._below(part, _INDENT)

    def _below(self, part: Part, indent: str) -> Iterator[str]:
        self._told.add(part.series_instance_uid)
        for step in self._steps:
            if part.series_instance_uid not in {each.series_instance_uid for each in step.before}:
                continue
            made = step.derivation
            moment = f"{made.made_at.astimezone():%Y-%m-%d %H:%M:%S}"
            yield f"{indent}{printable(made.type)}, {moment}, work item {made.workitem_uid}"
            for each in step.after:
                yield f"{indent}-> series {each.series_instance_uid}  {_stored_in_words(each)}"
                if each.series_instance_uid not in self._told:
                    yield from self._below(each, indent + _INDENT)


def _stored_in_words(part: Part) -> str:
    count, stored = len(part.instances), len(part.stored)
    if stored == count:
        return f"{count_in_words(count, 'instance')}, stored"
    return f"{count_in_words(count, 'instance')}, {stored or 'none'} of them stored"


def _described(step: Step) -> dict[str, object]:
    return {
        "workitem": step.derivation.workitem_uid,
        "type": step.derivation.type,
        "made_at": step.derivation.made_at.isoformat(),
        "before": list(_described_parts(step.before)),
        "after": list(_described_parts(step.after)),
    }


def _described_parts(parts: Iterable[Part]) -> Iterator[dict[str, object]]:
    for part in parts:
        yield {
            "study_instance_uid": part.study_instance_uid,
            "series_instance_uid": part.series_instance_uid,
            "instances": [{"sop_instance_uid": uid, "is_stored": uid in part.stored} for uid in part.instances],
        }
