"""A body packed by brotli comes out whole, however it was packed and in whatever pieces it came."""

import random

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptimeo.probes.curl.unpacking import BrokenError, Unpacker


def page(size: int, *, seed: int, words: int) -> bytes:
    """Text of so many different words: the fewer, the better it is packed."""
    chosen = random.Random(seed)
    parts = [f"<p>{chosen.randrange(words)}</p>" for _ in range(size // 8 + 1)]
    return "".join(parts).encode()[:size]


def unpacked(packed: bytes, piece: int) -> tuple[bytes, bool]:
    unpacker, found = Unpacker(), bytearray()
    for start in range(0, len(packed), piece):
        for part in unpacker.unpack(packed[start : start + piece]):
            found += part
    return bytes(found), unpacker.whole


@given(
    size=st.integers(0, 400_000),
    seed=st.integers(0, 100),
    words=st.sampled_from([1, 50, 100_000]),
    quality=st.integers(0, 6),
    piece=st.sampled_from([1400, 16_384, 1 << 30]),
)
def test_every_byte_comes_out(size: int, seed: int, words: int, quality: int, piece: int) -> None:
    body = page(size, seed=seed, words=words)
    packed = brotli.compress(body, quality=quality, lgwin=22)

    assert unpacked(packed, piece) == (body, True)


@pytest.mark.parametrize("size", [98_000, 100_000, 200_000, 1_000_000])
def test_what_is_still_held_when_all_was_read_is_asked_for(size: int) -> None:
    packed = brotli.compress(bytes(size), lgwin=22)

    assert unpacked(packed, 1 << 30) == (bytes(size), True)


@pytest.mark.parametrize("missing", [1, 20])
def test_a_body_that_breaks_off_is_not_whole(missing: int) -> None:
    packed = brotli.compress(page(50_000, seed=1, words=100_000), lgwin=22)

    found, whole = unpacked(packed[:-missing], 1400)

    assert not whole
    assert len(found) < 50_000 + 1


def test_what_follows_the_end_is_broken() -> None:
    packed = brotli.compress(b"hello", lgwin=22)

    with pytest.raises(BrokenError):
        unpacked(packed + b"more", 1 << 30)
