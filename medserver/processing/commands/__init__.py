"""Types of processing that are external programs: ``[type NAME]`` of the configuration.

Start with `application.apply_command`, which the performer of work items calls. `folders` has what the program finds,
`invocation` its command line and environment, `supervisor` the process that it runs under, `execution` the way there,
`examination` what its results must be, `renewal` new UIDs for them.

A program of mercure or of MONAI Deploy needs no change: folders, files and variables are theirs.
"""
