"""What is done with compressed pixels: the tables of the codecs."""

from __future__ import annotations

from medserver.codecs.table import CODECS, Codec, codec_of
from medserver.conformance.document import Table
from medserver.dicom.uids import TRANSFER_SYNTAXES


def codecs_table() -> Table:
    """Return one row for each transfer syntax whose pixels are decoded or encoded, with what that needs."""
    rows = tuple(
        (
            codec.name,
            codec.uid,
            codec.decoder.library.distribution,
            " or ".join(encoder.library.distribution for encoder in codec.encoders) or "none",
            " or ".join(dict.fromkeys(f"the extra {extra}" if extra else "nothing" for extra in _extras(codec))),
        )
        for codec in CODECS
    )
    return Table("Codecs", ("Codec", "Transfer syntax", "Decoder", "Encoder", "Needs"), rows)


def _extras(codec: Codec) -> list[str]:
    return [each.library.extra for each in (codec.decoder, *codec.encoders)]


def encodings_table() -> Table:
    """Return one row for each kind of image that is encoded."""
    rows = tuple(
        (
            codec.name,
            ", ".join(form.interpretations),
            form.words.removesuffix(" bits").replace(" bits,", ","),
            form.encoded_as or "the same",
        )
        for codec in CODECS
        for form in codec.forms
    )
    header = ("Codec", "Photometric Interpretation", "Bits Stored of Bits Allocated", "In the code stream")
    return Table("Images that are compressed", header, rows)


def undecoded_table() -> Table:
    """Return one row for each transfer syntax whose pixels are kept and sent as they are only."""
    encapsulated = [syntax for syntax in TRANSFER_SYNTAXES if syntax.encapsulated]
    rows = tuple((syntax.name, syntax.uid) for syntax in encapsulated if codec_of(syntax.uid) is None)
    return Table("Pixels that are not decoded", ("Transfer syntax", "UID"), rows)
