"""Transcoding: from what an object is stored in to what a peer accepts.

Here: `targets` and `compressions` (what is possible), `transcode` (do it), `leave_out_bulk_data` (the header alone),
`Workers` (where it is done). Start with `transcoding`, then `conversion`, which a worker runs. Which codecs there are
is in `encoders`, and in pydicom's decoders.
"""

from medserver.codecs.encoders import compressions
from medserver.codecs.syntaxes import targets
from medserver.codecs.transcoding import Transcoded, leave_out_bulk_data, transcode
from medserver.codecs.workers import Workers

__all__ = ["Transcoded", "Workers", "compressions", "leave_out_bulk_data", "targets", "transcode"]
