"""What a worker process has made: checked, for it may be nonsense, and registered like any other instance."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import BinaryIO

from medserver import archive
from medserver.archive.header import Header, HeaderReader, check_identity
from medserver.dicom.part10 import FileMeta, read_file_meta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import ObjectNotReadable
from medserver.index.derivations import DerivedInstance
from medserver.node import Node
from medserver.processing.requests import Reference
from medserver.routing.deliveries import DELIVER, kind_of
from medserver.routing.rules import wanted_by

BLOCK_BYTES = 1024 * 1024


class OutputIsAnother(ObjectNotReadable):
    """Something else is stored under the UID of an output, such as what was made of other objects before."""


class Check:
    """Finds what must not come in. Threads share it.

    Parameters
    ----------
    inputs : iterable of DerivedInstance
        What the outputs were made of.
    """

    def __init__(self, inputs: Iterable[DerivedInstance]) -> None:
        inputs = list(inputs)
        self._studies = {one.study_instance_uid for one in inputs}
        self._taken = {uid for one in inputs for uid in (one.sop_instance_uid, one.series_instance_uid) if uid}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def of(self, meta: FileMeta, header: Header) -> DerivedInstance:
        """Return which instance something is.

        Raises
        ------
        ObjectNotReadable
            It cannot be a result.
        """
        study, series = (header.values[name] or "" for name in ("study_instance_uid", "series_instance_uid"))
        made = DerivedInstance(meta.sop_instance_uid, meta.sop_class_uid, study, series)
        if study not in self._studies:
            raise ObjectNotReadable(f"output {made.sop_instance_uid} is of another study than the inputs")
        if {made.sop_instance_uid, series} & self._taken:
            raise ObjectNotReadable(f"output {made.sop_instance_uid} has the UID of an input, or of its series")
        with self._lock:
            if made.sop_instance_uid in self._seen:
                raise ObjectNotReadable(f"two outputs have the UID {made.sop_instance_uid}")
            self._seen.add(made.sop_instance_uid)
        return made


def read_identified(file: BinaryIO) -> tuple[FileMeta, Header]:
    """Read the head of a Part 10 file.

    Raises
    ------
    NotPart10, RequestError, TransferSyntaxNotSupported
        It is none, or its data set is another object than its File Meta Information says.
    """
    meta = read_file_meta(file)
    reader = HeaderReader(transfer_syntax(meta.transfer_syntax_uid))
    file.seek(meta.data_set_offset)
    while not reader.has_enough and (block := file.read(BLOCK_BYTES)):
        reader.feed(block)
    header = reader.header()
    check_identity(header, meta.sop_class_uid, meta.sop_instance_uid)
    return meta, header


def routed(node: Node, made: Iterable[DerivedInstance]) -> set[tuple[str, str]]:
    """Return the SOP Instance UIDs of what routes send on, since it was registered, each with the entry that gets it.

    Raises
    ------
    StoreFailure
        A header cannot be read.
    """
    config = node.config.current
    if not config.routes:
        return set()
    stored = node.index.instances([one.sop_instance_uid for one in made])
    return {
        (copy.sop_instance_uid, name)
        for copy in stored.values()
        for name, rule in wanted_by(config, archive.read_header(node, copy), config.node.ae_title)
        if kind_of(rule) == DELIVER
    }


def references_to(made: Iterable[DerivedInstance], retrieve_ae_title: str) -> Iterator[Reference]:
    """Yield what was made, by series, as Output Information tells it.

    Parameters
    ----------
    retrieve_ae_title : str
        Where it can be fetched from: this node.
    """

    def series_of(one: DerivedInstance) -> tuple[str, str]:
        return one.study_instance_uid, one.series_instance_uid

    for (study, series), instances in groupby(sorted(made, key=series_of), series_of):
        uids = tuple((one.sop_class_uid, one.sop_instance_uid) for one in instances)
        yield Reference(study, series, uids, retrieve_ae_title)
