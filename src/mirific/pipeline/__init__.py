"""Where the stages are put together: plan, reduce each exposure, combine each mosaic, report.

=================  ===========================================================================
``settings``       what the user asked for, and how it meets the parameters of the steps
``plan``           which exposures there are, and which mosaics they make
``exposures``      one exposure: raw to rate to cal
``mosaics``        one set of exposures: issues, alignment, outliers, mosaic, catalogue
``run``            all of it, resumable
=================  ===========================================================================
"""
