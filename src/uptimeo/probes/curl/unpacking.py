"""What is in a body that is packed by brotli, without more memory than we want? The only importer.

libcurl would unpack it too, but takes 16 MiB for it and fills them all before we see a byte. How
much is needed is said in the first byte: the window, of which `brotli` itself uses 4 MiB.
"""

from collections.abc import Iterator

import brotli

_STEP_BYTES = 65_536
_MAX_WINDOW_BITS = 22
_SMALLEST = 16


class TooWideError(Exception):
    """Its window is larger than what we take."""


class BrokenError(Exception):
    """It is not packed by brotli."""


class Unpacker:
    """Unpacks one body, piece by piece."""

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._begun = False

    @property
    def whole(self) -> bool:
        """Whether the body came to its end."""
        return bool(self._inner.is_finished())

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """What is in this piece, in steps: whoever has had enough takes no further one.

        Raises TooWideError and BrokenError.
        """
        if packed and not self._begun:
            self._begun = True
            if (bits := _window_bits(packed[0])) > _MAX_WINDOW_BITS:
                raise TooWideError(f"its brotli window is of 2^{bits} bytes")
        yield self._step(packed)
        while not self._inner.is_finished():
            piece = self._step(b"")
            # It takes more as soon as it has read all, and may still hold what it has unpacked.
            if not piece and self._inner.can_accept_more_data():
                return
            yield piece

    def _step(self, packed: bytes) -> bytes:
        try:
            return bytes(self._inner.process(packed, output_buffer_limit=_STEP_BYTES))
        except brotli.error as error:
            raise BrokenError(str(error)) from error


def _window_bits(first: int) -> int:
    """RFC 7932, 9.1: WBITS, by its lowest bits."""
    if not first & 1:
        return _SMALLEST
    if upper := (first >> 1) & 7:
        return 17 + upper
    lower = (first >> 4) & 7
    return {0: 17, 1: 99}.get(lower, 8 + lower)  # 99: the "large window" of no standard
