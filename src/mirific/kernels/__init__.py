"""Loops over arrays that several rooms share.

:mod:`.sorting`, :mod:`.selection` (medians) and :mod:`.connected` (regions of pixels).
"""
