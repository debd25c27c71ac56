"""The pixels, a frame at a time: runs in worker processes only.

`decoders` and `encoders` have a function for each row of `codecs.table` that names it; `decoding` and `encoding` go
through the frames with them.
"""
