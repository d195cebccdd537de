"""Images dropped onto a grid of the sky.

:mod:`.drizzling` goes through exposures and their planes, :mod:`.drop_kernels` drops squares, :mod:`.drops` other
shapes, :mod:`.drop_flags_kernels` flags.
"""
