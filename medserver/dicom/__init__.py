"""Facts of the DICOM standard: identifiers, codes, encodings, attributes and the rules of matching."""
