"""The node beside its peers, on loopback, with the same data: `scripts/bench`.

`cells` is the table of what is measured and what is required. A cell belongs to a stage, which holds the
servers that it needs: `storing`, `retrieving`, `querying`, `verifying`, `idling`, `large_object`.
`candidates` starts the servers, `clients` runs the programs of DCMTK against them, `material` makes what they
exchange, `rounds` lets the candidates take turns, and `report` prints medians and ratios.
"""
