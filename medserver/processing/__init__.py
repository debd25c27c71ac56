"""Types of image processing, and their application to images.

Start with `types` (the table of what there is) and `task` (how one is applied: in a worker process, from a folder of
files into another). Then `parameters`, `reasons` (why something cannot be processed, as a code), `pixels` (what types
are made of). `requests` reads what a work item asks for, and `performing` performs it.

What needs numpy, pydicom or more is imported by `task`, `pixels` and the modules of types: workers run them.
"""
