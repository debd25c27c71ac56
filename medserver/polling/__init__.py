"""Images are collected from AEs that do not send them by themselves: the ``[poll NAME]`` entries of config.ini.

`schedule` says when, `collecting` does it: it asks what there is, compares that with the index, and fetches the rest.
`runs` is what came of it.
"""
