"""ASDF files read and written without ``asdf``: plain metadata, transforms and world coordinates.

Loading the extensions and schemas of ``asdf`` takes half a second, a file of world coordinates 30 ms more. What MIRI
imaging needs of ASDF is little: a text in YAML (:mod:`~mirific.asdf_files.document`), a dozen transforms of
``astropy.modeling`` (:mod:`~mirific.asdf_files.transforms`) and a chain of them in ``gwcs``
(:mod:`~mirific.asdf_files.coordinates`). Whatever else a file holds raises :class:`Unsupported`, and the caller turns
to ``asdf``.
"""

from __future__ import annotations

from mirific.asdf_files.document import Document, Tagged, Unsupported, plain, read_document, write_document

__all__ = ["Document", "Tagged", "Unsupported", "plain", "read_document", "write_document"]
