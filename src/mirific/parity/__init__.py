"""What exists only to equal ``jwst``: loaded by the steps that offer it, when it is asked for.

:mod:`.showers` searches for showers, :mod:`.skymatch` measures sky levels, :mod:`.tweakreg` finds stars and fits
shifts, each as the official step of that name does. Where a public function of the official packages does it, that is
called, in memory and on copies; what it logs stays in its own loggers (``jwst``, ``stcal``, ``tweakwcs``), which the
command line sets to the verbosity asked for.
"""
