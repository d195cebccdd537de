"""How exposures lie to each other on the sky, and what mends it.

From below: :mod:`.registration` (shift of two lists of stars), :mod:`.recognition` (of two short ones),
:mod:`.views_of_sky` and :mod:`.structure` (shift of two nebulae), :mod:`.measured_exposures` (what is measured once per
exposure), :mod:`.visits`, :mod:`.visit_comparison` (shifts between visits, and within them), :mod:`.shift_network` (one
shift for each from those of pairs), :mod:`.absolute_catalog` and :mod:`.absolute_ties` (visits and a catalogue), and
:mod:`.measurement` (the whole), which :class:`~mirific.image3.TweakReg` and the issues use.
:mod:`.tweakwcs_alignment` is the official way, for ``--parity``.
"""
