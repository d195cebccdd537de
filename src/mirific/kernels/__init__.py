"""Loops and formulae over arrays that several rooms share.

:mod:`.sorting`, :mod:`.selection` (medians), :mod:`.connected` (regions of pixels) and :mod:`.tangent` (the plane that
touches the sky).
"""
