"""The transport under the association: sockets, PDUs, messages, admission and limits.

pynetdicom provides the codecs of most PDUs, the service primitives and the requestor's side of negotiation. Ours are
the state machine of the upper layer protocol (`state_machine`, performed by `upper_layer`), association requests as
they are received, the answers to them (`associate_request`, `associate_accept`), and how they are decided on
(`negotiation`). One thread serves one association, so a slow peer holds up nobody else, and a peer that sends faster
than we store is held back by its own TCP window. While its peer is silent an association has no thread: `watcher`
waits for it.

Start with `acceptor.Acceptor` (the way in; in front of it `pending_connections`), `requestor.associate` (the way out)
and `association.Association` (messages in both directions). What the messages mean is told in `medserver.services` and
`medserver.scu`.
"""
