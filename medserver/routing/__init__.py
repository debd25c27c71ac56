"""Which rules want an instance, and the jobs that follow from that.

Start with `rules` (what a rule says of an instance), then `plan` (the jobs of an instance that has come) and `outbox`
(the kinds of jobs that wait for another AE). The jobs are done by `medserver.delivery`.
"""
