"""The pixels of an image that was compressed here are what they were, or are brought back.

Earlier versions compressed images into HTJ2K with Pixel Cells that its code streams do not hold: most decoders clamp
them. What proved the encoder does not, and the digest of the pixels is kept, so that they can be had again and proved.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from medserver.archive.compression import put_in_place
from medserver.archive.copies import Copy
from medserver.archive.fetch import open_object
from medserver.archive.findings import PixelCheck, PixelState
from medserver.codecs import Transcoded, transcode
from medserver.codecs.syntaxes import UNCOMPRESSED
from medserver.dicom.part10 import FileMeta, Original, read_file_meta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import CannotTranscode, DamagedObject, StoreFailure, TransferSyntaxNotSupported
from medserver.index import Form, StoredCopy, key_of_original
from medserver.index.objects.lineage import BEHIND
from medserver.log import Event
from medserver.node import Node
from medserver.store import paths

logger = logging.getLogger(__name__)


def verify_pixels(node: Node, form: Form) -> PixelCheck | None:
    """Decode what was compressed here and compare its pixels with the digest of those that it was made from.

    If they differ, an uncompressed image with the pixels as they were takes the place of the compressed form, which
    becomes a duplicate. It is made from the original, or from the compressed form by the decoder that proved it.

    May be called again after it was interrupted anywhere.

    Parameters
    ----------
    node : Node
        Where it is stored.
    form : Form
        The compressed form, and what it was made from.

    Returns
    -------
    PixelCheck or None
        None if it is not compressed, or is not stored any more.

    Raises
    ------
    OutOfResources, IndexFailure
        There is no space, or the index does not work.
    """
    copies = node.index.copies_of(form.key)
    if not copies or not transfer_syntax(form.key.transfer_syntax_uid).encapsulated:
        return None
    uid, original = form.key.sop_instance_uid, form.original
    try:
        problem = pixel_difference(node, copies[0], original)
        if not problem:
            return PixelCheck(uid, PixelState.SAME)
        _bring_back(node, copies[0], original)
    except (CannotTranscode, TransferSyntaxNotSupported, StoreFailure) as error:
        logger.error(Event("pixels lost", sop_instance_uid=uid, digest=form.key.digest, reason=str(error)))
        return PixelCheck(uid, PixelState.LOST, str(error))
    logger.warning(Event("pixels restored", sop_instance_uid=uid, digest=form.key.digest, reason=problem))
    return PixelCheck(uid, PixelState.RESTORED, problem)


def pixel_difference(node: Node, copy: Copy, original: Original) -> str:
    """Decode an image that was made here and say why its pixels are not those of its original; empty if they are.

    Parameters
    ----------
    node : Node
        Where it lies.
    copy : StoredCopy
        The copy that is read first.
    original : Original
        What it was made from.

    Raises
    ------
    DamagedObject, StoreFailure
        No copy of it can be read.
    OutOfResources
        There is no space to decode it.
    """
    try:
        with _plain(node, copy, UNCOMPRESSED[0]) as (_, plain):
            return "" if plain.pixel_digest == original.pixel_digest else "the pixels are not what was compressed"
    except CannotTranscode as error:
        return str(error)


def _bring_back(node: Node, copy: StoredCopy, original: Original) -> None:
    """Put an uncompressed image with the pixels of the original in the place of its compressed form.

    Raises
    ------
    CannotTranscode
        The pixels cannot be had again.
    StoreFailure
        There is no good copy, or the new image cannot be stored.
    """
    uncompressed = original.transfer_syntax_uid
    if kept := node.index.copies_of(key_of_original(copy.sop_instance_uid, original)):
        # In its transfer syntax the new image may be the original byte for byte, which then had two files on a volume.
        uncompressed = next(uid for uid in UNCOMPRESSED if uid != uncompressed)
        with suppress(DamagedObject), _plain(node, kept[0], uncompressed) as (file_meta, plain):
            return _put(node, copy, _file_meta(node, copy, file_meta, uncompressed, original), plain)
    with _plain(node, copy, uncompressed, as_proved=True) as (file_meta, plain):
        if plain.pixel_digest != original.pixel_digest:
            raise CannotTranscode("no decoder here gives the pixels that were compressed")
        return _put(node, copy, _file_meta(node, copy, file_meta, uncompressed, original), plain)


@contextmanager
def _plain(
    node: Node, copy: Copy, transfer_syntax_uid: str, *, as_proved: bool = False
) -> Iterator[tuple[bytes, Transcoded]]:
    """Give what stands before the data set of an object, and the data set in an uncompressed transfer syntax."""
    opened = open_object(node, copy)
    with (
        opened.data_set as data_set,
        transcode(
            data_set,
            copy.size_bytes,
            copy.transfer_syntax_uid,
            transfer_syntax_uid,
            node.transcoder.workers,
            node.transcoder.directory,
            as_proved=as_proved,
        ) as plain,
    ):
        yield opened.file_meta, plain


def _file_meta(
    node: Node, copy: StoredCopy, encoded: bytes, transfer_syntax_uid: str, original: Original
) -> FileMeta:
    """Return that of an image that replaces its compressed form, unless that has been replaced since.

    It is received now: the original may have been deleted since it was. And later than the compressed form, whatever
    the clock says, so that an index made anew comes to the same.
    """
    before = read_file_meta(io.BytesIO(encoded))
    received_at = before.received_at or paths.sealed_minute(copy.path)
    return FileMeta(
        sop_class_uid=copy.sop_class_uid,
        sop_instance_uid=copy.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        source_ae_title=before.source_ae_title,
        received_at=max(node.clock(), received_at + 2 * BEHIND),
        duplicates="replace" if copy.is_current else "keep",
        original=original,
    )


def _put(node: Node, copy: StoredCopy, file_meta: FileMeta, plain: Transcoded) -> None:
    if not put_in_place(node, copy, file_meta, plain):
        raise StoreFailure("another object has taken its place meanwhile: verify again")
