"""The bytes of a buffer's segment: frames that prove themselves, found again behind damage.

A frame is MARK (4 bytes), length, CRC-32 (both 4 bytes, big endian; over what follows), then 8 bytes of number and the
payload. After damage the next MARK with a true CRC goes on, so only what is damaged is lost.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

MARK: Final = b"\xedEW\x01"
MAX_PAYLOAD_BYTES: Final = 4_194_304
_HEAD: Final = struct.Struct(">4sII")
_NUMBER: Final = struct.Struct(">Q")
OVERHEAD_BYTES: Final = _HEAD.size + _NUMBER.size


class Frame(NamedTuple):
    """One kept payload and its number in the lane (numbers only grow)."""

    number: int
    payload: bytes


class Scan(NamedTuple):
    """What a segment holds: its sound frames in order, and the bytes between them that are none."""

    frames: list[Frame]
    damaged: list[bytes]


def pack(frame: Frame) -> bytes:
    """The bytes of one frame."""
    body = _NUMBER.pack(frame.number) + frame.payload
    return _HEAD.pack(MARK, len(body), zlib.crc32(body)) + body


def scan(data: bytes) -> Scan:
    """Read a segment whole; whatever is no sound frame is damage (a torn tail, a flipped bit)."""
    frames: list[Frame] = []
    damaged: list[bytes] = []
    at = 0
    while at < len(data):
        end = _sound_until(data, at)
        if end:
            number = _NUMBER.unpack_from(data, at + _HEAD.size)[0]
            frames.append(Frame(number, data[at + OVERHEAD_BYTES : end]))
        else:
            end = _next_sound(data, at + 1)
            damaged.append(data[at:end])
        at = end
    return Scan(frames, damaged)


def _sound_until(data: bytes, at: int) -> int:
    """Where the sound frame that begins here ends; 0 if none does."""
    if not data.startswith(MARK, at) or at + OVERHEAD_BYTES > len(data):
        return 0
    _, length, crc = _HEAD.unpack_from(data, at)
    start, end = at + _HEAD.size, at + _HEAD.size + length
    if not _NUMBER.size <= length <= MAX_PAYLOAD_BYTES or end > len(data):
        return 0
    return end if zlib.crc32(memoryview(data)[start:end]) == crc else 0


def _next_sound(data: bytes, at: int) -> int:
    """Where the next sound frame begins; the end of the data if none does."""
    while (at := data.find(MARK, at)) >= 0:
        if _sound_until(data, at):
            return at
        at += 1
    return len(data)
