"""The conformance statement in the layout of PS3.2 N, made from the tables that the node itself works with.

Here: `statement` puts the sections together, `facts` is the same for machines. The tables of network services
are in `roles`, the keys of queries in `matching_keys`; the chapters are in `overview`, `services`,
`configuration`, `communication` and `security`; `document` turns them into reStructuredText.
``medserver conformance`` prints it.
"""

from medserver.conformance.document import Section, Table, to_restructured_text
from medserver.conformance.facts import facts
from medserver.conformance.statement import statement

__all__ = ["Section", "Table", "facts", "statement", "to_restructured_text"]
