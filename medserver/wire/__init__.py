"""The transport under the association: sockets, PDUs, messages, admission and limits.

pynetdicom provides the PDU codecs, the state machine of the upper layer protocol (PS3.8 9.2) and the
negotiation of presentation contexts; here they run on a transport of our own. One thread serves one
association: it waits in `poll` for its own socket, so an idle association costs nothing, a slow peer holds up
nobody else, and a peer that sends faster than we store is held back by its own TCP window.

Start with `acceptor.Acceptor` (who comes in; in `lobby` connections wait for their request), `requestor.associate`
(the way out) and `association.Association` (messages in both directions). What the messages mean is told in
`medserver.services` and `medserver.scu`.
"""
