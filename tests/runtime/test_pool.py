"""Buffers come back when the last holder lets go, not earlier, whoever that is."""

import gc
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.runtime.pool import BufferPool

pytestmark = pytest.mark.timeout(30)

SHAPE = (48, 64)
SIZE = 48 * 64


@pytest.fixture(autouse=True)
def no_cyclic_collection() -> Iterator[None]:
    """Memory has to come back by reference counts alone."""
    gc.disable()
    yield
    gc.enable()


def test_memory_is_used_again_once_the_tensor_is_gone() -> None:
    pool = BufferPool()
    first = pool.take(SHAPE, torch.uint8)
    where = first.data_ptr()
    other = pool.take(SHAPE, torch.uint8)
    assert other.data_ptr() != where
    del first
    assert pool.take(SHAPE, torch.uint8).data_ptr() == where


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
def test_a_lease_is_contiguous_aligned_and_all_its_own(dtype: torch.dtype) -> None:
    pool = BufferPool()
    tensors = [pool.take((3, 5, 7), dtype) for _ in range(4)]
    for tensor in tensors:
        assert tensor.shape == (3, 5, 7)
        assert tensor.dtype == dtype
        assert tensor.is_contiguous()
        assert tensor.data_ptr() % 64 == 0
    for number, tensor in enumerate(tensors):
        tensor.copy_(torch.full((3, 5, 7), number))
    for number, tensor in enumerate(tensors):
        assert (tensor.to(torch.float32) == number).all()


def test_sizes_are_what_counts_not_shapes_or_dtypes() -> None:
    pool = BufferPool()
    where = pool.take((8, 8), torch.float32).data_ptr()
    assert pool.take((16, 8), torch.uint16).data_ptr() == where
    assert pool.take((8, 9), torch.float32).data_ptr() != where


def test_an_empty_tensor_needs_no_buffer() -> None:
    pool = BufferPool()
    assert pool.take((0, 5), torch.float32).shape == (0, 5)
    assert pool.stats().allocated == 0


HOLDERS: dict[str, Callable[[torch.Tensor], object]] = {
    "view": lambda tensor: tensor.view(-1),
    "row": lambda tensor: tensor[17],
    "retyped": lambda tensor: tensor.view(torch.float32),
    "numpy": lambda tensor: tensor.numpy()[3:5],
    "alias": torch.from_dlpack,
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_anything_that_shares_the_memory_keeps_it_lent(
    hold: Callable[[torch.Tensor], object],
) -> None:
    pool = BufferPool()
    tensor = pool.take(SHAPE, torch.uint8)
    where = tensor.data_ptr()
    keep = hold(tensor)
    del tensor
    assert pool.stats().leased_bytes == SIZE
    assert pool.take(SHAPE, torch.uint8).data_ptr() != where
    del keep
    stats = pool.stats()
    assert (stats.leased_bytes, stats.idle_bytes) == (0, 2 * SIZE)


def test_memory_is_not_used_again_while_ffmpeg_still_holds_it() -> None:
    pool = BufferPool()
    planes = [pool.take((32, 32), torch.uint8), pool.take((16, 16), torch.uint8)]
    planes.append(pool.take((16, 16), torch.uint8))
    where = {plane.data_ptr() for plane in planes}
    for value, plane in enumerate(planes, start=100):
        plane.fill_(value)
    frames = [
        av.VideoFrame.from_dlpack(
            [plane], format="gray", width=plane.shape[1], height=plane.shape[0]
        )
        for plane in planes
    ]
    del planes, plane
    fresh = [pool.take((32, 32), torch.uint8), pool.take((16, 16), torch.uint8)]
    fresh.append(pool.take((16, 16), torch.uint8))
    assert not where & {tensor.data_ptr() for tensor in fresh}
    for tensor in fresh:
        tensor.zero_()
    for value, frame in enumerate(frames, start=100):
        assert (frame.to_ndarray() == value).all()
    del frames, frame, fresh, tensor
    again = [pool.take((32, 32), torch.uint8) for _ in range(2)]
    again += [pool.take((16, 16), torch.uint8) for _ in range(4)]
    assert where <= {tensor.data_ptr() for tensor in again}
    assert pool.stats().allocated == 6


def test_an_encoder_gives_back_what_it_held_for_its_lookahead() -> None:
    """x264 keeps references to frames and lets go of them in threads of its own."""
    pool = BufferPool()
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 64, 48, "gray"
    codec.time_base = Fraction(1, 25)
    codec.options = {"preset": "veryfast", "x264-params": "log-level=none"}
    packets = 0
    for number in range(60):
        plane = pool.take(SHAPE, torch.uint8).fill_(number)
        frame = av.VideoFrame.from_dlpack([plane], format="gray", width=64, height=48)
        frame.pts = number
        packets += len(codec.encode(frame))
        del plane, frame
    packets += len(codec.encode(None))
    assert packets == 60
    del codec
    stats = pool.stats()
    assert stats.leased_bytes == 0
    assert stats.allocated < 60


def test_a_steady_state_allocates_nothing() -> None:
    pool = BufferPool()
    held: list[torch.Tensor] = []

    def step() -> None:
        held.append(pool.take(SHAPE, torch.float32))
        held.append(pool.take((24, 32), torch.uint8))
        del held[:-6]

    for _ in range(10):
        step()
    before = pool.stats()
    for _ in range(100):
        step()
    after = pool.stats()
    assert after.allocated == before.allocated
    assert after.reused == before.reused + 200


def test_the_limit_frees_idle_buffers_longest_unused_first() -> None:
    pool = BufferPool(limit_bytes=3000)
    old, recent = pool.take((1000,), torch.uint8), pool.take((1500,), torch.uint8)
    where = recent.data_ptr()
    del old
    assert pool.stats().idle_bytes == 1000
    del recent
    big = pool.take((1200,), torch.uint8)
    stats = pool.stats()
    assert (stats.evicted, stats.leased_bytes, stats.idle_bytes) == (1, 1200, 1500)
    assert pool.take((1500,), torch.uint8).data_ptr() == where
    assert big.shape == (1200,)


def test_a_lease_is_never_refused() -> None:
    pool = BufferPool(limit_bytes=10)
    tensors = [pool.take((100,), torch.uint8) for _ in range(3)]
    assert pool.stats().leased_bytes == 300
    del tensors
    assert pool.take((100,), torch.uint8).shape == (100,)
    # Reused, but the idle rest had to go.
    assert pool.stats().idle_bytes + pool.stats().leased_bytes == 100


def test_clear_frees_what_is_idle_and_leaves_what_is_lent() -> None:
    pool = BufferPool()
    lent = pool.take(SHAPE, torch.uint8).fill_(9)
    pool.take(SHAPE, torch.uint8)
    pool.clear()
    stats = pool.stats()
    assert (stats.idle_bytes, stats.leased_bytes) == (0, SIZE)
    assert (lent == 9).all()


def test_a_lease_outlives_its_pool() -> None:
    pool = BufferPool()
    tensor = pool.take(SHAPE, torch.uint8).fill_(3)
    del pool
    assert (tensor == 3).all()


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative, got -1"):
        BufferPool(limit_bytes=-1)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(1, 4)),
            st.tuples(st.just("drop"), st.integers(0, 20)),
        ),
        max_size=40,
    ),
    limit=st.one_of(st.none(), st.integers(0, 2000)),
)
@settings(deadline=None)
def test_leases_never_overlap_and_the_books_balance(
    steps: list[tuple[str, int]], limit: int | None
) -> None:
    pool = BufferPool(limit)
    held: list[tuple[int, torch.Tensor]] = []
    for number, (verb, value) in enumerate(steps):
        if verb == "take":
            held.append((number % 251, pool.take((value * 64,), torch.uint8).fill_(number % 251)))
        elif held:
            held.pop(value % len(held))
        assert all((tensor == mark).all() for mark, tensor in held)
        stats = pool.stats()
        assert stats.leased_bytes == sum(tensor.numel() for _, tensor in held)
        assert stats.allocated + stats.reused == sum(
            verb == "take" for verb, _ in steps[: number + 1]
        )
        if verb == "take" and limit is not None and stats.idle_bytes:
            assert stats.leased_bytes + stats.idle_bytes <= limit


def test_many_threads_may_take_and_let_go() -> None:
    pool = BufferPool(limit_bytes=20 * SIZE)
    wrong: list[int] = []

    def work(mark: int) -> None:
        for number in range(300):
            tensor = pool.take((SIZE + 64 * (number % 3),), torch.uint8)
            array: np.ndarray = tensor.numpy()
            array[:] = mark
            if not (array == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=[mark]) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    stats = pool.stats()
    assert stats.leased_bytes == 0
    assert stats.reused + stats.allocated == 1200
    assert stats.reused > 1000


def test_a_tensor_that_dies_inside_the_pool_itself_comes_back() -> None:
    """Finalizers run in any thread at any time, also in one that is just taking."""
    pool = BufferPool()

    class Cycle:
        def __init__(self) -> None:
            self.tensor = pool.take(SHAPE, torch.uint8)
            self.me = self

    threshold = gc.get_threshold()
    gc.enable()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Cycle()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert pool.stats().leased_bytes == 0
