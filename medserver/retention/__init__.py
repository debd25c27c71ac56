"""Studies are deleted by the rules of config.ini, because disks fill.

Start with `eligibility` (may a study be deleted by a rule, and why not), then `orders` (it is ordered, and looked at
again before that is carried out), `space` (how much a volume is to be freed of) and `walk` (the jobs). What deletes is
`medserver.safekeeping.deletion`, as for everybody.
"""
