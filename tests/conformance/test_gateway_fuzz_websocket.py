"""WebSockets made at random through the gateway, on each of its ways, with websockets as judge.

The express way passes bytes, so what arrives is what was sent; over the consumers whole messages
pass, and no frame reaches an app that a strict reader would not take.
"""

import pytest
from fuzz_messages import CUTS, DAMAGES, cut, damaged
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_gateway_websocket import HANDSHAKE, accept, frame, opened
from websockets.frames import Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

pytestmark = pytest.mark.ours("frames are judged by what each way is meant to do with them")
SHORT = settings().derandomize
TRIES = settings(
    max_examples=40 if SHORT else 2000,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate] if SHORT else tuple(Phase),
)
PINGS = st.lists(st.binary(max_size=125), max_size=1)
TEXT, BINARY = 1, 2


@st.composite
def messages(draw):
    """Return a message: its opcode, its data, and its frames with control frames between them."""
    text = draw(st.booleans())
    data = draw(st.text(max_size=60)).encode() if text else draw(st.binary(max_size=300))
    pieces = cut(data, draw(CUTS)) if data else [b""]
    opcode = TEXT if text else BINARY
    frames = []
    for number, piece in enumerate(pieces):
        first, last = number == 0, number == len(pieces) - 1
        frames.append((opcode if first else 0, piece, last))
        if not last:
            frames += [(9, ping, True) for ping in draw(PINGS)]
    return opcode, data, frames


def written(made, *, masked) -> bytes:
    return b"".join(
        frame(opcode, data, fin=fin, masked=masked)
        for _, _, frames in made
        for opcode, data, fin in frames
    )


class Reader:
    """A strict reader of one direction."""

    def __init__(self, side) -> None:
        self._protocol = Protocol(side, max_size=2**20)
        self._opcode, self._data = 0, b""
        self.messages = []

    @property
    def error(self):
        return self._protocol.parser_exc

    @property
    def closed(self):
        return self._protocol.close_rcvd is not None or self.error is not None

    def feed(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._opcode, self._data = int(event.opcode), b""
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._data += bytes(event.data)
                if event.fin:
                    self.messages.append((self._opcode, self._data))


def new_socket(talk):
    """Open one more WebSocket; return both ends."""
    talk.browser = talk.new_browser()
    return talk.browser, opened(talk)


def read_until(end, reader, count) -> None:
    while len(reader.messages) < count and not reader.error:
        data = end.sock.recv(65536)
        assert data, f"the end came after {len(reader.messages)} of {count} messages"
        reader.feed(data)


def hears_close(app):
    """Return all that arrives up to a close frame or the end, and who read it."""
    heard, reader = b"", Reader(SERVER)
    try:
        while not reader.closed and (data := app.sock.recv(65536)):
            heard += data
            reader.feed(data)
    except ConnectionResetError:
        pass
    return heard, reader


def test_messages_arrive_whole_and_in_their_order_both_ways(talk):
    @TRIES
    @given(st.lists(messages(), min_size=1, max_size=4), CUTS, st.booleans())
    def check(made, cuts, upwards):
        browser, app = new_socket(talk)
        source, goal = (browser, app) if upwards else (app, browser)
        for piece in cut(written(made, masked=upwards), cuts):
            source.says(piece)
        reader = Reader(SERVER if upwards else CLIENT)
        read_until(goal, reader, len(made))
        assert reader.error is None
        assert reader.messages == [(opcode, data) for opcode, data, _ in made]
        browser.close()
        app.close()

    check()


def test_no_broken_frame_reaches_an_app_over_the_consumers(talk):
    @TRIES
    @given(st.lists(messages(), min_size=1, max_size=3), DAMAGES, CUTS)
    def check(made, damages, cuts):
        browser, app = new_socket(talk)
        data = damaged(written(made, masked=True), damages)
        try:
            for piece in cut(data, cuts):
                browser.says(piece)
        except OSError:
            pass  # closed before its end
        browser.close()
        heard, reader = hears_close(app)
        app.close()
        if talk.site.way != "consumers":
            assert data.startswith(heard)
            return
        assert reader.error is None, (data, heard)

    check()


def test_a_handshake_in_pieces_is_one(talk):
    request = talk.request("socket", *HANDSHAKE, f"Origin: {talk.site.url}")

    @TRIES
    @given(CUTS)
    def check(cuts):
        browser = talk.new_browser()
        for piece in cut(request, cuts):
            browser.says(piece)
        app = talk.app()
        app.says(accept(app.hears_head()))
        assert browser.hears_head().status == 101
        browser.close()
        app.close()

    check()


@pytest.mark.parametrize("masked", [True, False])
def test_a_broken_frame_of_the_app_reaches_nobody_over_the_consumers(talk, masked):
    """An app's frame with a mask, or of an unknown kind: the browser hears an end, not the frame."""
    if talk.site.way != "consumers":
        pytest.skip("frames are the app's own there, and browsers judge them")
    _, app = new_socket(talk)
    app.says(frame(1 if masked else 3, b"odd", masked=masked))
    heard = talk.browser.hears_bytes(4)
    assert (heard[0], int.from_bytes(heard[2:4])) == (0x88, 1014)
