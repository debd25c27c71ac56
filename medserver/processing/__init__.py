"""Types of image processing, and their application to images.

Start with `types` (the table of what there is) and `task` (how one is applied: in a worker process, from a folder of
files into another). Then `parameters`, `images` (inputs, decoded by `medserver.codecs`), `geometry` (stacks of slices),
`results` (what stands in the header of what was made), `reasons` (why something cannot be processed, as a code).

What needs numpy, pydicom or more is imported by the modules that run in worker processes.
"""
