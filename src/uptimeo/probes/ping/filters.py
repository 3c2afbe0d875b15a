"""How does a raw socket hear the echoes of its own check alone? By a filter in the kernel.

Without it each raw socket wakes up for every reply that comes from its target, also for those to
other checks and for a flood of forged ones.
"""

import ctypes
import socket
import struct

# Linux's number, for which the module `socket` has no name.
_SO_ATTACH_FILTER = 26
# Classic BPF, <linux/filter.h>: code, jumps if true and if false, operand.
_INSTRUCTION = struct.Struct("=HBBI")
_PROGRAM = struct.Struct("@HP")
_LENGTH_OF_IP_HEADER, _NO_IP_HEADER = 0xB1, 0x01
_HALF_WORD, _IF_EQUAL, _RETURN = 0x48, 0x15, 0x06
_IDENTIFIER_AT = 4
_ALL, _NOTHING = 0xFFFFFFFF, 0


def only_with(opened: socket.socket, identifier: int) -> None:
    """Deliver to this raw socket of ICMP what has that identifier. Raises OSError."""
    # With IPv6 the message comes without the header of IP.
    start = _NO_IP_HEADER if opened.family == socket.AF_INET6 else _LENGTH_OF_IP_HEADER
    program = b"".join(
        _INSTRUCTION.pack(*each)
        for each in (
            (start, 0, 0, 0),
            (_HALF_WORD, 0, 0, _IDENTIFIER_AT),
            (_IF_EQUAL, 0, 1, identifier),
            (_RETURN, 0, 0, _ALL),
            (_RETURN, 0, 0, _NOTHING),
        )
    )
    held = ctypes.create_string_buffer(program, len(program))
    named = _PROGRAM.pack(len(program) // _INSTRUCTION.size, ctypes.addressof(held))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, named)
