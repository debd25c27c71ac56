"""Transcoding: from what an object is stored in to what a peer accepts.

Here: `targets` and `compressions` (what is possible), `transcode` (do it), `leave_out_bulk_data` (the header alone),
`extract_frames` (some frames as a new instance), `copy_bulk_data` (their pixels alone),
`Workers` (where it is done), `Transcoder` (remembers what was made, and makes ahead what will be wanted). Start with
`transcoding`, then `conversion`, which a worker runs. `table` says which codecs there
are. What only workers need (numpy, pydicom) is not imported here.
"""

from medserver.codecs.cache import TranscodedCache
from medserver.codecs.syntaxes import compressions, targets
from medserver.codecs.transcoded import Transcoded
from medserver.codecs.transcoder import TranscodeAhead, Transcoder
from medserver.codecs.transcoding import (
    change_attributes,
    compress_with_loss,
    copy_bulk_data,
    extract_frames,
    leave_out_bulk_data,
    transcode,
)
from medserver.codecs.workers import Workers

__all__ = [
    "TranscodeAhead",
    "Transcoded",
    "TranscodedCache",
    "Transcoder",
    "Workers",
    "change_attributes",
    "compress_with_loss",
    "compressions",
    "copy_bulk_data",
    "extract_frames",
    "leave_out_bulk_data",
    "targets",
    "transcode",
]
