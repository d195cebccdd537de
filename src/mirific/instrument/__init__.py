"""Numbers of the instrument, each typed in as a fact with its source.

==============  =====================================================================
``subarrays``   corners, sizes and clocks of the detector subarrays
``readout``     readout patterns, frame times, the clock at which a pixel is read
``filters``     the nine imaging filters: band, PSF width, boresight offset, photometry
``detector``    noise, gain, well, quantum efficiency, inter-pixel capacitance
``siaf``        detector pixels to V2, V3 and back
``regions``     which pixels see the sky: imager, Lyot, coronagraphs, knife edge
==============  =====================================================================
"""
