"""Framing: whole messages come out however the bytes were cut; nonsense is refused by its header."""

from __future__ import annotations

import random
import struct

import pytest

from proxy.wire.framing import HEADER_SIZE, BadMessage, MessageBuffer, StartupBuffer


def walk(buffer: MessageBuffer, data: bytes) -> list[bytes]:
    """What a reader does: take whole messages, give the rest back."""
    data = buffer.feed(data)
    position, found = 0, []
    while len(data) - position >= HEADER_SIZE:
        end = position + 1 + buffer.length(data, position)
        if end > len(data):
            break
        found.append(data[position:end])
        position = end
    buffer.keep(data[position:])
    return found


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


STREAM = [
    message(b"S", b""),
    message(b"Q", b"SELECT 1\0"),
    message(b"d", bytes(range(256)) * 3),
    message(b"X", b""),
]


def test_messages_survive_every_split_in_two() -> None:
    """Cut anywhere, the same messages come out."""
    whole = b"".join(STREAM)
    for cut in range(len(whole) + 1):
        buffer = MessageBuffer(1 << 20)
        assert walk(buffer, whole[:cut]) + walk(buffer, whole[cut:]) == STREAM, cut


def test_messages_survive_random_pieces() -> None:
    """Cut into many pieces, byte by byte included, the same messages come out."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    whole = b"".join(STREAM * 5)
    for largest in (1, 2, 7, 100):
        buffer, found, position = MessageBuffer(1 << 20), [], 0
        while position < len(whole):
            size = rng.randint(1, largest)
            found += walk(buffer, whole[position : position + size])
            position += size
        assert found == STREAM * 5


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_length_shorter_than_itself_is_refused(length: int) -> None:
    """The length counts its own four bytes."""
    with pytest.raises(BadMessage, match="invalid message length"):
        walk(MessageBuffer(1000), b"Q" + struct.pack("!I", length) + b"xxxx")


def test_a_message_over_the_limit_is_refused_before_it_is_buffered() -> None:
    """The header is enough: no byte of the body has to arrive."""
    with pytest.raises(BadMessage, match="exceeds the limit of 1000 bytes"):
        walk(MessageBuffer(1000), b"Q" + struct.pack("!I", 1001))


@pytest.mark.parametrize("length", [0, 4, 7, 10_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_startup_packets_of_impossible_length_are_refused(length: int) -> None:
    """MAX_STARTUP_PACKET_LENGTH bounds what a stranger can make us buffer."""
    with pytest.raises(BadMessage, match="startup packet"):
        StartupBuffer().feed(struct.pack("!I", length) + b"\0" * 8)


def test_a_startup_packet_may_arrive_in_pieces_and_keeps_what_is_behind_it() -> None:
    """(packet, rest), and None before it is whole."""
    packet = struct.pack("!II", 8, 80877103)
    buffer = StartupBuffer()
    assert [buffer.feed(packet[i : i + 1]) for i in range(7)] == [None] * 7
    assert buffer.feed(packet[7:] + b"behind") == (packet, b"behind")
