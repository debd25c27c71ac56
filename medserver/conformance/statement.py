"""The statement: the chapters of PS3.2 N in their order."""

from __future__ import annotations

from medserver import __version__
from medserver.conformance import communication, overview, services
from medserver.conformance.configuration import configuration
from medserver.conformance.document import Section
from medserver.conformance.security import details, security


def statement() -> Section:
    """Return the whole conformance statement."""
    return Section(
        "",
        f"medserver {__version__} DICOM Conformance Statement",
        (),
        (
            overview.overview(),
            Section("2", "Table of Contents", (".. contents::\n   :depth: 3\n   :backlinks: none",)),
            overview.introduction(),
            overview.implementation_model(),
            services.service_description(),
            configuration(),
            communication.communication_details(),
            security(),
            *details(),
        ),
    )


__all__ = ["statement"]
