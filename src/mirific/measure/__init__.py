"""What is measured on images of the sky, shared by the steps of stage 3 and the known issues.

=======================  ==========================================================================================
``local_background``     background and noise of an image, and which of its pixels can be used
``blank_sky``            where there is nothing but sky
``source_finding``       positions of sources with their errors
``tangent_plane``        exposures on one plane, and back to pixels
``pixel_map``            where the pixels of one image are on another
``overlaps``             levels of exposures compared where they see the same sky
``matched_backgrounds``  the sky of each exposure brought to one level
``alignment``            how far exposures and visits are apart
``detector_stack``       what stays with the detector while the sky moves
=======================  ==========================================================================================
"""
