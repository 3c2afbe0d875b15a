"""What of an answer is kept, and when is it too much? Pure."""

from dataclasses import dataclass, field

from uptimeo.probes.curl.transfer import Fault
from uptimeo.probes.curl.unpacking import BrokenError, TooWideError, Unpacker

MAX_HEADER_BYTES = 65_536
MAX_HEADER_LINES = 300
# After so many pieces of a body they have to be larger than this, in the mean: each is a call.
_MANY_PIECES = 1000
_LEAST_BYTES = 16


@dataclass(slots=True)
class Reader:
    """Collects the last header block and the start of the body, and stops what is too large.

    `complete` says whether the headers came to their end: libcurl takes a connection that is closed
    within them for one. `decodes` are the encodings that were asked for: libcurl would decompress
    any that it knows, and also one within another, which keeps our event loop busy without a byte
    of output. Both are refused.
    """

    limit: int
    keep: int
    decodes: tuple[str, ...] = ()
    lines: list[bytes] = field(default_factory=list)
    header_bytes: int = 0
    header_lines: int = 0
    body_bytes: int = 0
    body_pieces: int = 0
    start: bytearray = field(default_factory=bytearray)
    refused: Fault | None = None
    reason: str | None = None
    complete: bool = False
    unpacker: Unpacker | None = None

    def header(self, line: bytes) -> int | None:
        """One header line; anything but None ends the transfer."""
        self.header_bytes += len(line)
        self.header_lines += 1
        if self.header_bytes > MAX_HEADER_BYTES or self.header_lines > MAX_HEADER_LINES:
            self.refused = Fault.HEADERS_TOO_LARGE
            return -1
        if line.startswith(b"HTTP/"):
            self.lines.clear()  # a "100 Continue", a "103 Early Hints" or a proxy's block before
            self.complete = False
        self.lines.append(line)
        if line.strip():
            return None
        self.complete = True
        if self.decodes and self._is_encoded_otherwise():
            return -1
        packed = self.decodes == ("br",) and self._encodings() == ["br"]
        self.unpacker = Unpacker() if packed else None
        return None

    def body(self, chunk: bytes) -> int | None:
        """A piece of the body; anything but None ends the transfer."""
        self.body_pieces += 1
        if self.unpacker is None:
            self._take(chunk)
        else:
            self._unpack(chunk, self.unpacker)
        many = self.body_pieces > max(_MANY_PIECES, self.body_bytes / _LEAST_BYTES)
        if self.refused is None and many:
            self.refused = Fault.CRUMBS
        if self.refused is None:
            return None
        self.unpacker = None  # its window is of up to 4 MiB
        return -1

    def _unpack(self, chunk: bytes, unpacker: Unpacker) -> None:
        try:
            for piece in unpacker.unpack(chunk):
                self._take(piece)
                if self.refused is not None:
                    return
        except TooWideError as error:
            self.refused, self.reason = Fault.TOO_WIDE, str(error)
        except BrokenError as error:
            self.refused, self.reason = Fault.ENCODING, str(error)

    def _take(self, piece: bytes) -> None:
        self.body_bytes += len(piece)
        if (room := self.keep - len(self.start)) > 0:
            self.start += piece[:room]
        if self.body_bytes > self.limit:
            compressed = self.decodes and bool(self._encodings())
            self.refused = Fault.EXPANDED if compressed else Fault.BODY_TOO_LARGE

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of the last block."""
        return tuple(_parse(line) for line in self.lines if b":" in line)

    def _is_encoded_otherwise(self) -> bool:
        found = self._encodings()
        if len(found) < 2 and set(found) <= set(self.decodes):
            return False
        self.refused = Fault.ENCODED_OTHERWISE
        self.reason = f"as {', '.join(found)[:100]}, and {' or '.join(self.decodes)} was asked for"
        return True

    def _encodings(self) -> list[str]:
        named = ",".join(v for k, v in self.headers() if k.lower() == "content-encoding")
        words = (word.strip().lower().removeprefix("x-") for word in named.split(","))
        return [word for word in words if word not in ("", "identity")]


def _parse(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("utf-8", "replace").partition(":")
    return name.strip(), value.strip()
