"""Which rules want an instance, and the jobs that follow from that.

Start with `rules` (what a rule says of an instance), then `plan` (the jobs of an instance that has come) and
`deliveries` (what they are, and what becomes of them). The jobs are done by `medserver.delivery`.
"""
