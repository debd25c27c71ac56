"""reStructuredText, read by docutils: what stands in a document."""

from __future__ import annotations

from docutils import nodes
from docutils.core import publish_doctree


def parse(text: str) -> nodes.document:
    """Parse a document.

    Raises
    ------
    docutils.utils.SystemMessage
        Anything in it is not quite right.
    """
    settings = {"report_level": 5, "halt_level": 1, "syntax_highlight": "none", "doctitle_xform": False}
    return publish_doctree(text, settings_overrides=settings)


def sections(document: nodes.document) -> dict[str, dict[str, dict]]:
    """Return the titles of the chapters, each with those of its sections, and so on."""
    [whole] = [one for one in document.children if isinstance(one, nodes.section)]
    return _below(whole)


def tables(document: nodes.document) -> dict[str, list[list[str]]]:
    """Return the tables by their titles: rows of cells, the header first."""
    return {
        table.next_node(nodes.title).astext(): [
            [entry.astext() for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)
        ]
        for table in document.findall(nodes.table)
        if table.next_node(nodes.title) is not None and table.next_node(nodes.title).parent is table
    }


def _below(section: nodes.section) -> dict[str, dict]:
    inner = [one for one in section.children if isinstance(one, nodes.section)]
    return {one.next_node(nodes.title).astext(): _below(one) for one in inner}
