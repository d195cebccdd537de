from __future__ import annotations

import gc
import pickle
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mirific.exposure import DQ, ExtraContent, FlagProvenance, Image, ImageSet, Metadata, origin_of
from mirific.spool import Remembered, Spool, SpooledImages


def image(value: float, shape=(40, 50)) -> Image:
    plane = np.full(shape, value, dtype=np.float32)
    dq = np.zeros(shape, dtype=np.uint32)
    dq[3, 4] = DQ["HOT"]
    flags = FlagProvenance(shape).add("mask", DQ["HOT"], dq != 0)
    meta = Metadata({"filename": f"image{value:.0f}"})
    return Image(plane, plane + 1, dq, plane + 2, plane + 3, meta, flags, var_flat=plane + 4)


def resident() -> float:
    """Resident memory now, MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def used(spool: Spool) -> int:
    """Bytes of its files that were ever in use."""
    return sum(piece.end for piece in spool._pieces)


def test_what_is_made_anew_has_the_same_origin():
    kept = SpooledImages(Spool(), (image(1.0),))
    first, again = kept[0], kept[0]
    assert first.dq is not again.dq
    assert origin_of(first.dq) is origin_of(again.dq)
    assert origin_of(first.dq) is not origin_of(first.data)
    part = first.data[1:]
    assert origin_of(part) is part
    assert first.flags.same_as(again.flags)


def test_threads_store_in_files_of_their_own():
    spool, arrays = Spool(), [np.full(5000, k, dtype=np.float32) for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(spool.store, arrays))
    for k, block in enumerate(blocks):
        np.testing.assert_array_equal(spool.load(block), k)
        part = np.empty(3, dtype=np.float32)
        spool.read(block, 7, part)
        assert (part == k).all()
    assert len({(block.piece, block.start) for block in blocks}) == 40
    assert 1 <= len(spool._pieces) <= 4


def test_what_others_put_into_a_file_waits_on_disk_too():
    """Whole extensions are stored once, and come back byte by byte."""
    rng = np.random.default_rng(2)
    contents = tuple(rng.integers(0, 256, size, dtype=np.uint8) for size in (2880, 2880 * 100))
    extra = ExtraContent({"PRIMARY": ("OBSNOTE = 'keep me'".ljust(80),)}, contents)
    spool = Spool()
    kept = SpooledImages(spool, (replace(image(1.0), extra=extra), image(2.0)))
    size = used(spool)
    again = kept
    for number in range(3):
        again = again.keep(one.with_meta({"n": number}) for one in again)
    assert used(spool) == size
    assert again[0].extra.cards == extra.cards
    for stored, content in zip(again[0].extra.extensions, contents, strict=True):
        np.testing.assert_array_equal(stored, content)
    assert bool(again[0].extra)
    assert not again[1].extra


def test_variances_that_are_not_stated_stay_so():
    kept = SpooledImages(Spool(), (replace(image(1.0), var_rnoise=None, var_poisson=None),))
    assert (kept[0].var_rnoise, kept[0].var_poisson) == (None, None)
    assert kept[0].var_flat is not None


def test_images_come_back_as_they_were(tmp_path):
    images = [image(float(k)) for k in range(3)]
    kept = SpooledImages(Spool(tmp_path), iter(images))
    assert len(kept) == 3
    assert not list(tmp_path.iterdir())  # the file has no name
    for before, after in zip(images, kept, strict=True):
        for name in ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
            assert getattr(after, name).dtype == getattr(before, name).dtype
        assert after.area is None
        assert (after.name, after.flags.labels()) == (before.name, before.flags.labels())
        np.testing.assert_array_equal(after.flags.where("mask", DQ["HOT"]), after.dq != 0)
    assert [i.name for i in kept[1:]] == ["image1", "image2"]
    assert kept[-1].name == "image2"
    assert [i.name for i in pickle.loads(pickle.dumps(kept))] == ["image0", "image1", "image2"]


def test_a_set_keeps_its_images_where_they_were():
    exposure = ImageSet(SpooledImages(Spool(), (image(1.0), image(2.0))), Metadata({}))
    doubled = exposure.with_images(replace(i, data=i.data * 2) for i in exposure.images)
    assert isinstance(doubled.images, SpooledImages)
    assert [float(i.data[0, 0]) for i in doubled.images] == [2.0, 4.0]
    assert [float(i.data[0, 0]) for i in exposure.images] == [1.0, 2.0]
    assert isinstance(ImageSet((image(1.0),), Metadata({})).with_images(i for i in ()).images, tuple)


def test_only_what_changed_is_written_and_free_places_are_used_anew():
    spool = Spool()
    kept = SpooledImages(spool, (image(1.0), image(2.0)))
    end = used(spool)
    kept = kept.keep(i.with_meta({"a": 1}) for i in kept)
    assert used(spool) == end
    for value in range(5):
        kept = kept.keep(replace(i, data=i.data + np.float32(value)) for i in kept)
    gc.collect()
    assert used(spool) <= end + 4 * 8192


def test_an_image_that_is_held_is_not_written_again():
    spool = Spool()
    kept = SpooledImages(spool, [image(0.0)])
    held = kept.hold(image(5.0))
    np.testing.assert_array_equal(held.data, image(5.0).data)
    assert spool._block_of(held.data) is not None
    again = kept.keep([held])
    assert spool._block_of(again[0].data) is spool._block_of(held.data)


def test_changes_in_place_stay_private():
    kept = SpooledImages(Spool(), (image(1.0),))
    kept[0].data[:] = 7.0
    gc.collect()
    assert (kept[0].data == 1.0).all()


def test_a_place_in_use_is_not_overwritten():
    spool = Spool()
    first = SpooledImages(spool, (image(1.0),))[0].data  # the records are gone, the array is not
    gc.collect()
    others = SpooledImages(spool, (image(float(k)) for k in range(2, 9)))
    assert (first == 1.0).all()
    assert len(others) == 7


def test_a_loop_needs_the_memory_of_one_image():
    shape = (1024, 1024)
    kept = SpooledImages(Spool(), (image(float(k), shape) for k in range(24)))  # 24 MB each
    before, peak = resident(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = sum(float(i.data.sum() + i.err.sum() + i.var_flat.sum()) for i in kept)
    assert total > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 <= max(peak, before + 60)


def mapped() -> int:
    """Address space in use, bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def test_address_space_is_for_those_in_use():
    spool = Spool()
    before = mapped()
    blocks = [spool.store(np.full((1024, 1024), k, dtype=np.float32)) for k in range(40)]  # 160 MB
    assert mapped() < before + 2**24
    arrays = [spool.load(block) for block in blocks[:4]]
    assert mapped() < before + 2**27
    assert [float(a[3, 3]) for a in arrays] == [0.0, 1.0, 2.0, 3.0]
    del arrays
    assert all(float(spool.load(block)[-1, -1]) == k for k, block in enumerate(blocks))
    assert mapped() < before + 2**24


def test_an_array_that_is_larger_than_a_piece_has_one_of_its_own():
    spool = Spool()
    small = np.arange(5000, dtype=np.float32)
    large = np.arange(2**24 + 9, dtype=np.float32)  # 64 MB and a little
    blocks = [spool.store(array) for array in (small, large, small + 1)]
    for block, array in zip(blocks, (small, large, small + 1), strict=True):
        np.testing.assert_array_equal(spool.load(block), array)
    part = np.empty(3, dtype=np.float32)
    spool.read(blocks[1], 2**24, part)
    assert list(part) == list(large[2**24 : 2**24 + 3])


@pytest.mark.parametrize("shape", [(1, 1), (0, 5), (1024, 3)])
def test_odd_shapes(shape):
    spool = Spool()
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(spool.load(spool.store(array)), array)
    np.testing.assert_array_equal(spool.load(spool.store(array.T)), array.T)


def test_what_belongs_to_pixels_is_worked_out_once(tmp_path):
    images = SpooledImages(Spool(tmp_path), [image(1), image(2)])
    asked = []

    def answer(value):
        asked.append(value)
        return value

    known = Remembered()
    for _ in range(2):
        assert known.of((images[0].data, images[0].dq), (3,), lambda: answer("first")) == "first"
    assert known.of((images[1].data, images[1].dq), (3,), lambda: answer("second")) == "second"
    assert known.of((images[0].data, images[0].dq), (4,), lambda: answer("third")) == "third"
    assert asked == ["first", "second", "third"]
    del images
    gc.collect()
    assert not known._known
