"""The DIMSE services of the node, as SCP.

Start with `registry.SERVICES`: every SOP class, its operations and its handler stand in that table. `policy`
decides who may come in and with which presentation contexts, `dispatch` carries each request to its handler and
is the one place where errors become statuses. A handler is a function of a `Request` and the `Node`; what it
does to the archive is in `medserver.archive`.
"""
