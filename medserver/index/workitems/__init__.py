"""Work items as rows, `Index.workitems`, and who is subscribed to them. What may be done to one is in
`medserver.workitems`."""
