"""ASDF files with objects in them, such as transforms and world coordinates, read and written by ``asdf`` and ``gwcs``.

Whatever a file holds, reading it ends in its contents or a ``ValueError``: this is the one place where the many ways
are known in which ``asdf`` and the makers of its objects say that a file is damaged.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
import zlib
from collections import UserList, UserString
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from mirific.asdf_files.document import Tagged, text_of

if TYPE_CHECKING:
    from astropy.modeling import Model
    from gwcs import WCS

__all__ = [
    "AT_WORK",
    "described",
    "finish_loading",
    "load_in_background",
    "made",
    "plane_transform",
    "read_objects",
    "world_coordinates",
    "write_objects",
]

log = logging.getLogger(__name__)

#: Held by who makes or reads transforms: polynomials of ``astropy.modeling`` add to what is common to their class while
#: they are made, and Python has one list of warnings for all threads.
AT_WORK = threading.RLock()

#: What ``asdf``, ``gwcs``, ``astropy`` and ``numpy`` raise for files that are damaged, or made to do harm.
_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    ReferenceError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    yaml.YAMLError,
    zlib.error,
)


@cache
def _asdf() -> Any:
    """The package with its lists of schemas and extensions made; else each temporary configuration makes its own."""
    import asdf
    import gwcs.fitswcs  # noqa: F401 - what files of JWST hold

    config = asdf.get_config()
    with _compiled_yaml():
        config.resource_manager, config.extensions  # noqa: B018 - asking for them makes them
    return asdf


@contextmanager
def _compiled_yaml() -> Iterator[None]:
    """Let ``yaml.safe_load`` use libyaml, for the manifests of the extensions: 0.7 s less; the same result."""
    usual = yaml.SafeLoader
    yaml.SafeLoader = yaml.CSafeLoader
    try:
        yield
    finally:
        yaml.SafeLoader = usual


def _load() -> None:
    with AT_WORK:
        _asdf()


@cache
def load_in_background() -> threading.Thread:
    """Load ``asdf`` and ``gwcs`` in a thread, once: that takes a second, in which others can work."""
    thread = threading.Thread(target=_load, name="load gwcs")
    thread.start()
    return thread


def finish_loading() -> None:
    """Wait for what :func:`load_in_background` has begun, before other parts of ``astropy`` are imported beside it.

    Its modules import each other in circles: two threads in one circle see modules that are half there.
    """
    if load_in_background.cache_info().currsize:
        load_in_background().join()


@contextmanager
def _at_work(task: str) -> Iterator[Any]:
    """Give ``asdf`` to one thread at a time; its warnings go to the log; what it refuses is a ``ValueError``."""
    with AT_WORK:
        asdf = _asdf()
        from gwcs.wcs import NoConvergence

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield asdf
            except (*_FAULTS, asdf.ValidationError, NoConvergence) as error:
                reason = next(iter(str(error).splitlines()), "") or type(error).__name__
                raise ValueError(f"{task}: {reason}") from error
    for warning in caught:
        log.debug("%s: %s", task, warning.message)


def read_objects(content: bytes, *, arrays: bool = True) -> dict[str, Any]:
    """Read an ASDF file.

    Parameters
    ----------
    content : bytes
        The whole file.
    arrays : bool
        Load the arrays that are no part of an object; those of the ASDF extension of a product are elsewhere, in its
        other extensions.

    Raises
    ------
    ValueError
        If it is not ASDF, or damaged.
    """
    text_of(content)
    with _at_work("reading ASDF") as asdf, asdf.config_context() as config:
        config.validate_on_read = False  # what is wrong shows when objects are made; it takes three times as long
        with asdf.open(io.BytesIO(content), lazy_load=not arrays, memmap=False) as opened:
            return dict(opened.tree)


def described(thing: Any) -> Any:
    """An object as the node of a text that ``asdf`` makes of it, its arrays written out: for ``write_document``.

    Not compared with the schemas: to do so takes ``asdf`` five times as long, 50 ms for the coordinates of an exposure.

    Raises
    ------
    ValueError
        If ``asdf`` cannot describe it.
    """
    with _at_work("describing objects") as asdf, asdf.config_context() as config:
        from asdf.yamlutil import custom_tree_to_tagged_tree

        config.all_array_storage = "inline"
        return _node(custom_tree_to_tagged_tree(thing, asdf.AsdfFile()))


def made(node: Any, array: Callable[[Tagged], NDArray[Any]]) -> Any:
    """The object that a node of a text describes, as :func:`described` makes it: for what ``read_document`` has read.

    Parameters
    ----------
    node
        Plain values, and :class:`Tagged` nodes.
    array : callable
        Gives the numbers of an array, such as :meth:`Document.array`.

    Raises
    ------
    ValueError
        If ``asdf`` cannot make it.
    """
    with _at_work("making objects") as asdf:
        from asdf.yamlutil import tagged_tree_to_custom_tree

        return tagged_tree_to_custom_tree(_tagged(node, array), asdf.AsdfFile())


def _tagged(part: Any, array: Callable[[Tagged], NDArray[Any]]) -> Any:
    """A node in the types by which ``asdf`` knows tags."""
    from asdf.tagged import tag_object

    if isinstance(part, dict):
        return {key: _tagged(value, array) for key, value in part.items()}
    if isinstance(part, list):
        return [_tagged(value, array) for value in part]
    if not isinstance(part, Tagged):
        return part
    return array(part) if part.kind == "asdf/core/ndarray" else tag_object(part.tag, _tagged(part.value, array))


def _node(part: Any) -> Any:
    """What ``asdf`` has described, in the values that a text is written from.

    Raises
    ------
    TypeError
        If there are objects left in it.
    """
    from asdf.tagged import get_tag

    value: Any
    if isinstance(part, Mapping):
        value = {str(key): _node(item) for key, item in part.items()}
    elif isinstance(part, (list, tuple, UserList)):
        value = [_node(item) for item in part]
    elif isinstance(part, (str, UserString)):
        value = str(part)
    elif part is None or isinstance(part, (bool, np.bool_)):
        value = None if part is None else bool(part)
    elif isinstance(part, Integral):
        value = int(part)
    elif isinstance(part, Real):
        value = float(part)
    else:
        raise TypeError(f"{type(part).__name__} is not known")
    tag = get_tag(part)
    return value if tag is None else Tagged(str(tag), value)


def write_objects(tree: Mapping[str, Any]) -> bytes:
    """Make an ASDF file.

    Raises
    ------
    ValueError
        If ``asdf`` cannot describe what is in the tree.
    """
    content = io.BytesIO()
    with _at_work("writing ASDF") as asdf:
        asdf.AsdfFile(dict(tree)).write_to(content)
    return content.getvalue()


def plane_transform(thing: Any) -> Model:
    """Whatever was read, if it is a transform of a plane that can be evaluated.

    Raises
    ------
    ValueError
        If it is not.
    """
    with _at_work("a transform of a plane"):
        from astropy.modeling import Model

        if not isinstance(thing, Model) or (thing.n_inputs, thing.n_outputs) != (2, 2):
            raise ValueError("there is none")
        if not np.isfinite(thing(1.0, 1.0)).all():
            raise ValueError("it is not finite")
    return thing


def world_coordinates(thing: Any) -> WCS:
    """Whatever was read, if it is world coordinates of an image that can be evaluated.

    Raises
    ------
    ValueError
        If it is not.
    """
    with _at_work("world coordinates"):
        from gwcs import WCS
        from gwcs.coordinate_frames import CelestialFrame

        if not isinstance(thing, WCS):
            raise ValueError("there are none")
        if (thing.pixel_n_dim, thing.world_n_dim) != (2, 2) or not isinstance(thing.output_frame, CelestialFrame):
            raise ValueError("they do not lead from a plane to the sky")
        _check_values(thing)
    return thing


def _check_values(wcs: WCS) -> None:
    """Go to the sky and back from the middle of the bounding box.

    Raises
    ------
    ValueError
        If that leads nowhere.
    """
    box = wcs.bounding_box  # the first question warns of boxes of old files, whose order is unknown
    limits = ((0.0, 1.0), (0.0, 1.0)) if box is None else box.bounding_box(order="F")
    if not all(low < high for low, high in limits):
        raise ValueError(f"the bounding box is {limits}")
    sky = wcs(*(0.5 * (low + high) for low, high in limits), with_bounding_box=False)
    if not np.isfinite([*sky, *wcs.invert(*sky, with_bounding_box=False)]).all():
        raise ValueError("they are not finite")
