"""Damaged and hostile inputs, thousands of them: what mirific does with each, told by a number.

``python -m benchmarks.mutations [--first N] [--count N] [--kind KIND]... [--work DIR] [--json FILE]`` makes small good
inputs once (ramps, rates, calibrated images, mosaics, associations, configurations, catalogues, a CRDS cache), then
damages one of them for each number, and runs the command on it in a forked process. The same number makes the same
input again: ``--show N`` leaves it in the work folder and prints what the command said.

An input passes if the exit code is 0, 1, 2 or 3, there are at most three lines on the standard error and none of a
traceback, it took at most 60 s and 2 GB, all inputs are as they were, and nothing half-written is left.
"""

from __future__ import annotations

import argparse
import faulthandler
import gzip
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from astropy.io import fits

from mirific.cli import main as mirific

KINDS = ("uncal", "rate", "cal", "crf", "i2d", "association", "configuration", "catalogue", "reference", "cache")

#: Bounds of one input: wall time (s), memory (MB), lines on the standard error.
_SECONDS, _MEMORY, _LINES = 60, 2000, 3

Rng = np.random.Generator


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Parameters
    ----------
    number : int
    kind : str
    damage : str
        What was done to it.
    code : int
        Exit code; negative for a signal.
    seconds, memory : float
        Wall time, s, and peak resident memory, MB.
    fault : str
        What is wrong; empty if it passes.
    said : str
        The standard error.
    """

    number: int
    kind: str
    damage: str
    code: int
    seconds: float
    memory: float
    fault: str
    said: str


@dataclass(frozen=True)
class Corpus:
    """Good inputs: a folder with ``sim``, ``out`` (products of all levels) and ``crds``."""

    folder: Path

    @property
    def cache(self) -> Path:
        """The CRDS cache."""
        return self.folder / "crds"

    def files(self, kind: str) -> list[Path]:
        """Good files of a kind, sorted."""
        patterns = {
            "uncal": "sim/*_uncal.fits",
            "association": "sim/*_asn.json",
            "configuration": "run.toml",
            "catalogue": "catalogues/*",
            "reference": "crds/references/jwst/miri/*",
            "cache": "crds/[mc]*/**/*",
        }
        pattern = patterns.get(kind, f"out/*_{kind}.fits")
        return sorted(path for path in self.folder.glob(pattern) if path.is_file())


def make_corpus(folder: Path) -> Corpus:
    """Simulate two exposures of a small subarray and reduce them, unless the folder has them."""
    from astropy.table import Table

    corpus = Corpus(folder)
    if (folder / "done").exists():
        return corpus
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sizes = ("subarray=SUB64", "ngroups=6", "nints=2", "ndithers=2", "filters=F1000W")
    sets = [word for size in sizes for word in ("--set", size)]
    _must(["simulate", "-o", str(folder / "sim"), "--seed", "3", "-q", *sets])
    _must(["cache", "build", str(corpus.cache), "--filter", "F1000W", "--subarray", "SUB64", "-q"])
    _must(["run", str(folder / "sim"), "-o", str(folder / "out"), "--references", str(corpus.cache), "-q"])
    (folder / "run.toml").write_text(
        "[jump]\nrejection_threshold = 4.5\nflag_4_neighbors = true\n\n[tweakreg]\nkernel_fwhm = 3.0\n"
        "[resample]\npixfrac = 1.0\n"
    )
    (folder / "catalogues").mkdir()
    stars = Table.read(folder / "sim/truth/stars.ecsv")
    places = Table({"RA": np.array(stars["ra"]), "DEC": np.array(stars["dec"])})
    places.write(folder / "catalogues/stars.ecsv", format="ascii.ecsv")
    places.write(folder / "catalogues/stars.csv", format="ascii.csv")
    places.write(folder / "catalogues/stars.fits")
    places.write(folder / "catalogues/stars.vot", format="votable")
    (folder / "done").touch()
    return corpus


def _must(command: list[str]) -> None:
    if mirific(command):
        raise SystemExit(f"mirific {' '.join(command)} failed")


# ---- damage: bytes of any file -------------------------------------------------------------------------------------


Item = TypeVar("Item")


def _some(rng: Rng, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def flip_bytes(rng: Rng, content: bytes) -> bytes:
    """Some bytes become others, anywhere or near the beginning."""
    if not content:
        return content
    array = np.frombuffer(content, dtype=np.uint8).copy()
    reach = array.size if rng.random() < 0.5 else min(array.size, 40_000)
    places = rng.integers(reach, size=int(rng.integers(1, 30)))
    array[places] = rng.integers(256, size=places.size, dtype=np.uint8)
    return array.tobytes()


def cut_end(rng: Rng, content: bytes) -> bytes:
    """The end is missing, at any byte or at a record."""
    end = int(rng.integers(len(content) + 1))
    return content[: end // 2880 * 2880 if rng.random() < 0.5 else end]


def cut_piece(rng: Rng, content: bytes) -> bytes:
    """A piece is missing."""
    start = int(rng.integers(len(content) + 1))
    return content[:start] + content[start + int(rng.integers(1, 6000)) :]


def repeat_piece(rng: Rng, content: bytes) -> bytes:
    """A piece comes twice."""
    start = int(rng.integers(len(content) + 1))
    piece = content[start : start + int(rng.integers(1, 6000))]
    return content[:start] + piece + content[start:]


def fill_piece(rng: Rng, content: bytes) -> bytes:
    """A piece is zeros, ones or blanks."""
    start, size = int(rng.integers(len(content) + 1)), int(rng.integers(1, 9000))
    return (
        content[:start]
        + _some(rng, (b"\0", b"\xff", b" ")) * len(content[start : start + size])
        + content[start + size :]
    )


def empty(rng: Rng, content: bytes) -> bytes:
    """Nothing, or next to nothing, is left."""
    return content[: int(_some(rng, (0, 1, 9, 80, 2879, 2880)))]


_BYTES = (flip_bytes, cut_end, cut_piece, repeat_piece, fill_piece, empty)

# ---- damage: FITS ---------------------------------------------------------------------------------------------------

#: Values that cards are given: as they stand in columns 11 to 80.
_VALUES = (
    *(
        "                    0",
        "                   -1",
        "           5000000000",
        "  9223372036854775807",
        "                  4.0",
    ),
    *(
        "                  NaN",
        "                  Inf",
        "               1E+308",
        "              -1E-320",
        "                  1_0",
    ),
    *(
        "                    T",
        "                    F",
        " 'text    '",
        " ''",
        "",
        " '../../../x'",
        " '\\033[31mred'",
        " (1.0, 2.0)",
    ),
    *(
        "                   95",
        "               -361.5",
        "        1.0000000D+30",
        " 'NaN     '",
        " 'FULL    '",
        " 'N/A     '",
        " /",
    ),
    *(
        " '" + "x" * 66 + "'",
        "                 2048",
        "                 1024",
        "                   64",
        " 'F770W   '",
        " '2026-02-30'",
    ),
)
_KEYWORDS = (
    *(
        "BITPIX",
        "NAXIS",
        "NAXIS1",
        "NAXIS2",
        "NAXIS3",
        "PCOUNT",
        "GCOUNT",
        "TFIELDS",
        "TFORM1",
        "TFORM2",
        "TTYPE1",
        "TDIM1",
    ),
    *("EXTNAME", "XTENSION", "BSCALE", "BZERO", "SRC0", "SRC1", "BUNIT", "SIMPLE", "EXTEND", "END", "TZERO1", "TSCAL1"),
    *(
        "NINTS",
        "NGROUPS",
        "TGROUP",
        "TFRAME",
        "NFRAMES",
        "GROUPGAP",
        "FRMDIVSR",
        "READPATT",
        "SUBARRAY",
        "SUBSTRT1",
        "SUBSTRT2",
    ),
    *(
        "SUBSIZE1",
        "SUBSIZE2",
        "FILTER",
        "EXP_TYPE",
        "INSTRUME",
        "DETECTOR",
        "TELESCOP",
        "PROGRAM",
        "OBSERVTN",
        "VISIT",
        "TARGPROP",
    ),
    *(
        "RA_REF",
        "DEC_REF",
        "ROLL_REF",
        "V2_REF",
        "V3_REF",
        "VPARITY",
        "V3I_YANG",
        "VA_SCALE",
        "EXPSTART",
        "EXPMID",
        "EXPEND",
    ),
    *(
        "EFFEXPTM",
        "DURATION",
        "TMEASURE",
        "XPOSURE",
        "PHOTMJSR",
        "PIXAR_SR",
        "PIXAR_A2",
        "DATE-OBS",
        "TIME-OBS",
        "S_REGION",
    ),
    *(
        "TSOVISIT",
        "EXSEGNUM",
        "INTSTART",
        "INTEND",
        "S_WCS",
        "BKGLEVEL",
        "BKGSUB",
        "TARGTYPE",
        "MT_RA",
        "CAL_VER",
        "FILENAME",
    ),
)


def _cards(content: bytes) -> list[int]:
    """Places of all that looks like a card."""
    return [
        at
        for at in range(0, len(content) - 80, 80)
        if content[at : at + 8].strip().isalnum() and content[at + 8 : at + 10] == b"= "
    ]


def change_card(rng: Rng, content: bytes) -> bytes:
    """Some cards have other values."""
    places = _cards(content)
    if not places:
        return flip_bytes(rng, content)
    chosen = [at for at in places if content[at : at + 8].decode("latin-1").strip() in _KEYWORDS] or places
    array = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(_some(rng, chosen if rng.random() < 0.7 else places))
        array[at + 10 : at + 80] = f"{_some(rng, _VALUES):70.70}".encode("latin-1")
    return bytes(array)


def remove_card(rng: Rng, content: bytes) -> bytes:
    """A card is blank, or has another keyword."""
    places = _cards(content)
    if not places:
        return cut_piece(rng, content)
    at = int(_some(rng, places))
    word = _some(rng, ("        ", "COMMENT ", "CONTINUE", "HIERARCH", "NAXIS1  ", "END     ", "lower   "))
    return content[:at] + word.encode() + content[at + 8 :]


def _units(content: bytes) -> list[bytes]:
    """Headers with their data."""
    with tempfile.NamedTemporaryFile(suffix=".fits") as file:
        file.write(content)
        file.flush()
        with fits.open(file.name) as hdus:
            starts = [hdu.fileinfo()["hdrLoc"] for hdu in hdus]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def remove_extension(rng: Rng, content: bytes) -> bytes:
    """Some extensions are missing."""
    units = _units(content)
    for _ in range(int(rng.integers(1, 4))):
        if len(units) > 1:
            del units[int(rng.integers(1, len(units)))]
    return b"".join(units)


def swap_extensions(rng: Rng, content: bytes) -> bytes:
    """Extensions have another order, or each other's names."""
    units = _units(content)
    if len(units) < 3:
        return content
    a, b = rng.choice(np.arange(1, len(units)), size=2, replace=False)
    if rng.random() < 0.5:
        units[a], units[b] = units[b], units[a]
        return b"".join(units)
    named = [unit.find(b"EXTNAME = ") for unit in (units[a], units[b])]
    if min(named) >= 0:
        first, second = (units[k][at : at + 80] for k, at in zip((a, b), named, strict=True))
        units[a] = units[a][: named[0]] + second + units[a][named[0] + 80 :]
        units[b] = units[b][: named[1]] + first + units[b][named[1] + 80 :]
    return b"".join(units)


def repeat_extension(rng: Rng, content: bytes) -> bytes:
    """An extension comes twice."""
    units = _units(content)
    units.insert(int(rng.integers(1, len(units) + 1)), _some(rng, units[1:] or units))
    return b"".join(units)


def _rewritten(content: bytes, change: Callable[[fits.HDUList], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.fits", Path(folder) / "b.fits"
        source.write_bytes(content)
        with fits.open(source, memmap=False) as hdus:
            change(hdus)
            hdus.writeto(target, output_verify="ignore", checksum=False)
        return target.read_bytes()


def reshape_image(rng: Rng, content: bytes) -> bytes:
    """An image has another shape or type."""

    def change(hdus: fits.HDUList) -> None:
        images = [hdu for hdu in hdus[1:] if isinstance(hdu, fits.ImageHDU) and hdu.data is not None]
        if not images:
            return
        hdu = _some(rng, images)
        data = hdu.data
        shapes = (
            lambda: data[..., :2, :],
            lambda: data[..., :, : max(1, data.shape[-1] // 2)],
            lambda: data[None],
            lambda: data.reshape(-1),
            lambda: data[..., :0, :],
            lambda: np.concatenate([data, data], axis=-1),
            lambda: np.swapaxes(data, -1, -2),
            lambda: data[0] if data.ndim > 2 else data[:1],
            lambda: data.astype(np.float64),
            lambda: data.astype(np.int16),
            lambda: np.full_like(data, np.nan if data.dtype.kind == "f" else 1),
        )
        with np.errstate(invalid="ignore"):
            hdu.data = np.ascontiguousarray(_some(rng, shapes)())

    return _rewritten(content, change)


def change_samples(rng: Rng, content: bytes) -> bytes:
    """Some or all samples of an image are no numbers, infinite, huge or negative."""

    def change(hdus: fits.HDUList) -> None:
        images = [hdu for hdu in hdus[1:] if isinstance(hdu, fits.ImageHDU) and hdu.data is not None]
        if not images:
            return
        hdu = _some(rng, images)
        share = _some(rng, (0.001, 0.1, 1.0))
        where = rng.random(hdu.data.shape) < share
        values = (np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0, -5.0, 1e-40) if hdu.data.dtype.kind == "f" else (0, 1, 255)
        hdu.data[where] = _some(rng, values)

    return _rewritten(content, change)


def change_table(rng: Rng, content: bytes) -> bytes:
    """The bytes of a table are others: STEPS, INT_TIMES, ASDF or others."""
    units = _units(content)
    tables = [k for k, unit in enumerate(units) if unit[:80].startswith(b"XTENSION= 'BINTABLE'")]
    if not tables:
        return flip_bytes(rng, content)
    k = int(_some(rng, tables))
    end = units[k].find(b"END" + b" " * 77)
    start = -(-(end + 80) // 2880) * 2880
    units[k] = units[k][:start] + _damaged_text(rng, units[k][start:])
    return b"".join(units)


_WORDS = (
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b"1e999",
    b"nan",
    b"*a",
    b"&a [1]",
    b"!core/ndarray-1.0.0 {}",
    b"!!python/object:os.system {}",
    b'"',
    b"\n",
    b"<<: *a",
)


def _damaged_text(rng: Rng, content: bytes) -> bytes:
    """Texts and numbers of a text become others; the length stays."""
    array = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        if not array:
            break
        at = int(rng.integers(len(array)))
        word = _some(rng, _WORDS)[: len(array) - at]
        array[at : at + len(word)] = word
    return bytes(array)


def pack(rng: Rng, content: bytes) -> bytes:
    """The file is packed, and then damaged or not."""
    packed = gzip.compress(content, 1)
    change: Callable[[Rng, bytes], bytes] = _some(rng, (flip_bytes, cut_end, fill_piece))
    return packed if rng.random() < 0.4 else change(rng, packed)


_FITS = (
    *(change_card, change_card, change_card, remove_card, remove_extension, swap_extensions, repeat_extension),
    *(reshape_image, reshape_image, change_samples, change_table, change_table, pack),
)

# ---- damage: texts --------------------------------------------------------------------------------------------------

_JSON_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    "",
    "x" * 5000,
    [],
    {},
    [[]],
    "../../../x",
    "\u001b[31mred",
    ["a"],
    {"a": 1},
    0.5,
    "jw*_cal.fits",
    "science",
)


def change_json(rng: Rng, content: bytes) -> bytes:
    """A value somewhere in the tree is another one, or missing, or there twice."""
    tree = json.loads(content)
    nodes: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in list(keys):
            nodes.append((node, key))
            walk(node[key])

    walk(tree)
    for _ in range(int(rng.integers(1, 4))):
        node, key = nodes[int(rng.integers(len(nodes)))]
        try:
            if rng.random() < 0.25:
                del node[key]
            elif isinstance(node, list) and rng.random() < 0.3:
                node.append(node[key])
            else:
                node[key] = _some(rng, _JSON_VALUES)
        except (KeyError, IndexError):
            continue
    return json.dumps(tree).encode()


def nest(rng: Rng, _: bytes) -> bytes:
    """Brackets without end."""
    depth = int(_some(rng, (50, 5_000, 200_000)))
    return _some(
        rng,
        (
            b"[" * depth,
            b'{"a":' * depth,
            b"[" * depth + b"]" * depth,
            b'{"products": ' + b"[" * depth + b"]" * depth + b"}",
        ),
    )


def add_lines(rng: Rng, content: bytes) -> bytes:
    """Lines that no configuration has, or values of other kinds."""
    lines = (
        b"[nobody]\nx = 1\n",
        b"[jump]\nrejection_threshold = 'high'\n",
        b"[jump]\nrejection_threshold = nan\n",
        b"x = \n",
        b"[jump]\nunknown = 3\n",
        b"meta = 3\n",
        b"[[jump]]\n",
        b"[tweakreg]\nabs_refcat = '/nowhere'\n",
        b"to = 'moon'\n",
        b"skip = ['nothing']\n",
        b"[resample]\npixfrac = -1\n",
        b"a" * 100_000 + b" = 1\n",
        b"\xff\xfe\n",
        b"[resample]\npixel_scale_ratio = 1e9\n",
        b"[resample]\noutput_shape = [100000000, 100000000]\n",
        b"[resample]\ncrval = [400, 95]\n",
        b"[meta]\n'instrument.filter' = 'NONE'\n",
    )
    return content + b"\n" + _some(rng, lines)


# ---- one input ------------------------------------------------------------------------------------------------------


#: Longest time that a second damage may take, s: the header may promise five thousand million axes by then.
_PATIENCE = 10


@contextmanager
def _bounded(seconds: int) -> Iterator[None]:
    """End a block by TimeoutError when its time is up."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damage(rng: Rng, kind: str, path: Path) -> str:
    """Damage a file in place; returns what was done."""
    content = path.read_bytes()
    choices: list[Callable[[Rng, bytes], bytes]] = list(_BYTES)
    if content.startswith(b"SIMPLE"):
        choices += _FITS * 2
    elif path.suffix == ".json":
        choices += [change_json] * 8 + [nest, nest]
    elif kind == "configuration":
        choices += [add_lines] * 8
    else:
        choices.append(lambda rng, content: _damaged_text(rng, content))
    done = []
    for _ in range(int(rng.integers(1, 3))):
        change = _some(rng, choices)
        try:
            with warnings.catch_warnings(), _bounded(_PATIENCE):
                warnings.simplefilter("ignore")
                content = change(rng, content)
        except Exception as error:  # noqa: BLE001 - what is damaged already need not stand more of it
            done.append(f"({type(error).__name__})")
            continue
        done.append(getattr(change, "__name__", "text"))
    path.write_bytes(content)
    return " ".join(done)


def _copied(path: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(path, folder / path.name))


def _cache_with(corpus: Corpus, folder: Path, changed: Path) -> Path:
    """A CRDS cache of links, but for one file, which is a copy; its path."""
    for path in corpus.cache.rglob("*"):
        if path.is_file():
            place = folder / path.relative_to(corpus.cache)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place) if path == changed else place.symlink_to(path)
    return folder / changed.relative_to(corpus.cache)


def prepare(number: int, corpus: Corpus, folder: Path, kinds: Sequence[str]) -> tuple[str, str, list[str]]:
    """Make one input in a folder: its kind, what was done to it, and the command line to run."""
    rng = np.random.default_rng(number)
    kind = str(_some(rng, kinds))
    good = _some(rng, corpus.files(kind))
    inputs, output = folder / "in", folder / "out"
    cache = corpus.cache
    if kind in {"reference", "cache"}:
        cache = folder / "crds"
        bad = _cache_with(corpus, cache, good)
        given = [str(_some(rng, corpus.files("uncal"))), "--to", "cal"]
    else:
        bad = _copied(good, inputs)
    done = damage(rng, kind, bad)
    if kind == "association":
        given = [str(bad)]
        for level in ("uncal", "rate", "cal"):
            if rng.random() < 0.5:
                for path in corpus.files(level):
                    _copied(path, inputs)
                break
    elif kind == "configuration":
        given = [str(_some(rng, corpus.files("uncal"))), "--config", str(bad)]
    elif kind == "catalogue":
        given = [*map(str, corpus.files("cal")), "--set", f"tweakreg.abs_refcat={bad}"]
    elif kind in {"i2d", "crf"} or (kind in {"cal", "rate"} and rng.random() < 0.3):
        return kind, done, ["diagnose", str(bad), "--json", str(folder / "found.json")]
    elif kind in {"uncal", "rate", "cal"}:
        if rng.random() < 0.4:  # a good one beside it
            _copied(_some(rng, [path for path in corpus.files(kind) if path != good]), inputs)
        given = [str(inputs)] if rng.random() < 0.3 else sorted(str(path) for path in inputs.iterdir())
        if rng.random() < 0.2 and kind != "cal":
            given += ["--to", "rate" if kind == "uncal" else "cal"]
    if rng.random() < 0.15:
        given.append("--parity")
    return kind, done, ["run", *given, "-o", str(output), "--references", str(cache)]


def _digest(folder: Path) -> Mapping[str, str]:
    return {
        str(path): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def try_one(number: int, corpus: Corpus, kinds: Sequence[str], work: Path, *, keep: bool = False) -> Outcome:
    """Make an input, run the command on it in a forked process, and judge what came of it."""
    folder = work / f"{number:08d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kind, done, command = prepare(number, corpus, folder, kinds)
    before = {**_digest(folder / "in"), **_digest(folder / "crds")}
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _run(command, folder)
    code, memory = _awaited(child, start)
    seconds = time.monotonic() - start
    said = (folder / "stderr").read_text(errors="replace")
    after = {**_digest(folder / "in"), **_digest(folder / "crds")}
    fault = _fault(code, said, seconds, memory, folder)
    if not fault and before != after:
        fault = "an input was changed"
    if not keep:
        shutil.rmtree(folder)
    return Outcome(number, kind, done, code, round(seconds, 2), round(memory), fault, said[-3000:] if fault else "")


def _run(command: list[str], folder: Path) -> None:
    """The child: the command, with its output in files."""
    code = 70
    try:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o644), descriptor)
        os.chdir(folder)
        _take_over_clients()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.enable()
        code = mirific(command)
        _drain_clients()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - that is what is looked for
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _take_over_clients() -> None:
    """Let the child talk to the CRDS client of its parent, which waits meanwhile."""
    from mirific.references import crds_process

    for key in list(crds_process._RUNNING):
        crds_process._RUNNING[os.getpid(), key[1]] = crds_process._RUNNING.pop(key)


def _drain_clients() -> None:
    """Read the answers that nobody waited for."""
    from mirific.references import crds_process

    for client in crds_process._RUNNING.values():
        while client._answered < client._asked:
            client._answer(client._asked - 1)


def _awaited(child: int, start: float) -> tuple[int, float]:
    """Exit code (negative for a signal) and peak memory, MB; the child is killed when its time is up."""
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024
        if time.monotonic() - start > _SECONDS:
            os.kill(child, signal.SIGABRT)  # it says where it is
            time.sleep(1.0)
            os.kill(child, signal.SIGKILL)
            start = float("inf")
        time.sleep(0.005)


def _fault(code: int, said: str, seconds: float, memory: float, folder: Path) -> str:
    lines = said.splitlines()
    if seconds > _SECONDS:
        return "no end"
    if "Traceback" in said:
        frames = [line.strip() for line in lines if line.strip().startswith("File ") and "mirific" in line]
        return f"traceback: {lines[-1][:100]} | {frames[-1] if frames else ''}"
    if code not in {0, 1, 2, 3}:
        return f"exit code {code}"
    if len(lines) > _LINES:
        return f"{len(lines)} lines on stderr"
    if code == 2 and not lines:
        return "no reason said"
    if memory > _MEMORY:
        return f"{memory:.0f} MB"
    left = list(folder.rglob(".mirific-*"))
    return f"left behind: {left[0].name}" if left else ""


def _share(numbers: Iterable[int], corpus: Corpus, kinds: Sequence[str], work: Path, report: Path) -> None:
    """One of the processes that share the numbers: warm up, then fork for each."""
    files = [str(path) for path in corpus.files("uncal")]
    for more in ([], ["--parity"]):
        with tempfile.TemporaryDirectory(dir=work) as output:
            _must(["run", *files, "-o", output, "--references", str(corpus.cache), "-q", *more])
    with report.open("w", encoding="utf-8") as stream:
        for number in numbers:
            stream.write(json.dumps(asdict(try_one(number, corpus, kinds, work))) + "\n")
            stream.flush()


def main() -> None:
    """Try, and print what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kind", action="append", choices=KINDS, help="by default all; it changes what a number means")
    parser.add_argument("--show", type=int, metavar="N", help="make this input, keep it, and print what is said of it")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, help="keep the good inputs here, and use those that are there")
    parser.add_argument("--json", type=Path, help="write the outcomes here")
    given = parser.parse_args()
    work = (given.work or Path(tempfile.mkdtemp(prefix="mirific-mutations-"))).resolve()
    os.environ["XDG_CACHE_HOME"] = str(work / "user-cache")  # what is remembered of damaged caches is not for the user
    corpus = make_corpus(work / "good")
    kinds = tuple(given.kind or KINDS)
    if given.show is not None:
        outcome = try_one(given.show, corpus, kinds, work, keep=True)
        print(json.dumps({**asdict(outcome), "said": (work / f"{given.show:08d}" / "stderr").read_text()}, indent=2))
        return
    numbers = range(given.first, given.first + given.count)
    for report in work.glob("outcomes-*.jsonl"):
        report.unlink()
    reports = [work / f"outcomes-{k}.jsonl" for k in range(given.processes)]
    children = []
    for k, report in enumerate(reports):
        child = os.fork()
        if child == 0:
            os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
            try:
                _share(numbers[k :: given.processes], corpus, kinds, work, report)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    outcomes = read_outcomes(work)
    show(outcomes)
    if given.json:
        given.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    if given.work is None:
        shutil.rmtree(work)


def read_outcomes(work: Path) -> list[Outcome]:
    """What became of the numbers that were tried last in a work folder."""
    reports = sorted(work.glob("outcomes-*.jsonl"))
    return [Outcome(**json.loads(line)) for report in reports for line in report.read_text().splitlines()]


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the count of each fault with a number that has it, the exit codes, and the largest figures."""
    faults = Counter(outcome.fault for outcome in outcomes if outcome.fault)
    for fault, count in faults.most_common():
        first = min(outcome.number for outcome in outcomes if outcome.fault == fault)
        print(f"{count:6d} x {fault}  (first {first})")
    codes = dict(sorted(Counter(outcome.code for outcome in outcomes).items()))
    slowest = max((outcome.seconds for outcome in outcomes), default=0)
    largest = max((outcome.memory for outcome in outcomes), default=0)
    print(f"{len(outcomes)} inputs, {sum(faults.values())} faults; exit codes {codes}")
    print(f"at most {slowest:.1f} s and {largest:.0f} MB")


if __name__ == "__main__":
    main()
