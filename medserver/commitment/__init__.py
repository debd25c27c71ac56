"""Storage commitment (PS3.4 J): what is promised to peers, and told to them.

`check` reads each instance that a peer named (`safety`, `copies`), `delivery` reports what came of it on a new
association; both are jobs, whose names and follow-ups are in `plan`. `report` makes what is told, for the services as
well: they report on the association of the request as long as it is open. `retention` forgets what is long finished.
The rows are in `medserver.index.commitments.commitments`, the messages in `medserver.scu.commitment` and
`medserver.services.commitment`.
"""
