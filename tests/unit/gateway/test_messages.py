"""Messages read without a parser are what the parser reads; what it would refuse is left to it."""

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.messages import message_frame, too_large, whole_message

MASK = b"\x01\x02\x03\x04"


def server():
    return ServerProtocol(state=OPEN, max_size=None)


def client():
    return ClientProtocol(parse_uri("ws://app/"), state=OPEN, max_size=None)


def parsed(protocol, data):
    protocol.receive_data(data)
    (event,) = protocol.events_received()
    return bytes(event.data).decode() if event.opcode is Opcode.TEXT else bytes(event.data)


@pytest.mark.parametrize(
    "message", ["", "text ✓", b"", b"\xff", b"x" * 125, b"x" * 126, b"x" * 65_535]
)
def test_a_message_is_what_the_parser_reads(message):
    masked, plain = message_frame(message, MASK), message_frame(message)
    assert whole_message(server(), masked, masked=True) == parsed(server(), masked) == message
    assert whole_message(client(), plain, masked=False) == parsed(client(), plain) == message


@pytest.mark.parametrize("size", [65_536, 100_000])
def test_long_messages_are_written_for_the_parser_to_read(size):
    for protocol, frame, masked in (
        (server(), message_frame(b"x" * size, MASK), True),
        (client(), message_frame(b"x" * size), False),
    ):
        assert whole_message(protocol, frame, masked=masked) is None
        assert parsed(protocol, frame) == b"x" * size


WHOLE = message_frame("text", MASK)


@pytest.mark.parametrize(
    "data",
    [
        b"", WHOLE[:1], WHOLE[:5], WHOLE[:-1], WHOLE + b"\x81", WHOLE + WHOLE,
        message_frame("text"),  # not masked
        bytes((0xC1,)) + WHOLE[1:],  # a reserved bit
        bytes((0x01,)) + WHOLE[1:],  # a fragment
        bytes((0x80,)) + WHOLE[1:],  # the end of one
        bytes((0x83,)) + WHOLE[1:],  # no kind of message
        bytes((0x88,)) + WHOLE[1:], bytes((0x89,)) + WHOLE[1:], bytes((0x8A,)) + WHOLE[1:],
        b"\x81\x81" + MASK + bytes((0xFF ^ MASK[0],)),  # not UTF-8
    ],
)  # fmt: skip
def test_all_else_is_left_to_the_parser(data):
    assert whole_message(server(), data, masked=True) is None


def test_nothing_is_taken_from_the_middle_of_what_the_parser_reads():
    for begun in (
        WHOLE[:3],
        Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True),
        Frame(Opcode.CLOSE, b"").serialize(mask=True),
    ):
        protocol = server()
        protocol.receive_data(begun)
        assert whole_message(protocol, WHOLE, masked=True) is None


def test_the_reason_names_the_setting_and_fits_a_frame():
    reason = too_large(2**62)
    assert "message_bytes" in reason
    assert len(reason.encode()) <= 123
