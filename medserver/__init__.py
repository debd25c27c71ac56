"""medserver: a standards-native DICOM network node."""

__version__ = "0.1.0"
