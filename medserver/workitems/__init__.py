"""Work items: Unified Procedure Steps that are created, claimed, changed, ended, cancelled and watched (PS3.4 CC).

The operations know nothing of DIMSE or HTTP, which end in them alike:

=================  ====================================================================
`creating`         `create`
`retrieving`       `retrieve`
`updating`         `update`
`states`           `change_state`: a performer claims an item and ends it
`cancelling`       `request_cancel`, by who does not perform it
`subscribing`      `subscribe`, `unsubscribe`, `suspend`
`searching`        `search`
`pruning`          final items are forgotten when nobody needs them
`performing`       `start`, `report`, `finish`, `discontinue`: our own performer
`changing`         the one function through which every change goes, with its events
`events`           what follows from a change for those who watch
`follow_ups`       the jobs that follow: to perform an item, to tell an AE
`outcomes`         what an operation comes to, by state and Transaction UID: a table
`attributes`       what an item must have, when it is created and in the end: a table
=================  ====================================================================

The rows are in `medserver.index.workitems`.
"""
