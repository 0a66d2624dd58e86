"""HTTP made at random through the gateway, on each of its ways, with h11 as judge at both ends.

Whatever reaches the app must be what the gateway decided on, and read the same by a strict reader;
whatever reaches the browser must be an answer to its own request. ``--hypothesis-profile=thorough``
tries others, and many more.
"""

import re
import socket
from collections import Counter
from contextlib import ExitStack

import h11
import pytest
from fuzz_messages import CUTS, DAMAGES, answers, cut, damaged, requests
from gateway_fakes import eventually
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strict_app import MAX_HEAD, Reply, StrictApp, numbered

pytestmark = [
    pytest.mark.row(9),
    pytest.mark.ours("what reached the app is compared with its log"),
]
PATIENCE = 15
#: Seconds after which a gateway that was sent something broken is taken to wait for its end.
QUIET = 0.05
SHORT = settings().derandomize
TRIES = settings(max_examples=150 if SHORT else 5000, suppress_health_check=list(HealthCheck))
#: Of what is broken: to make an example smaller takes minutes, as each try may have to time out.
BROKEN = settings(
    TRIES, max_examples=100 if SHORT else 5000, phases=[Phase.generate] if SHORT else tuple(Phase)
)


class Stage:
    """A person's app that reads strictly, and their browser."""

    def __init__(self, site) -> None:
        self.site = site
        self.opened = site.open_socket()
        self.app = StrictApp(self.opened.path)
        site.granted(self.opened)
        self.always = (
            f"Host: 127.0.0.1:{site.port}", f"Cookie: aen_gateway={self.opened.session}",
        )  # fmt: skip
        self.all_seen = []

    def raw(self, asking) -> bytes:
        return asking.raw(self.opened.prefix, *self.always)

    def browser(self):
        sock = socket.create_connection(("127.0.0.1", self.site.port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def begin(self) -> None:
        self.all_seen += self.app.seen
        self.app.forget()
        self.app.reply = numbered

    def logged(self) -> Counter:
        """Return how often the gateway noted each request of this person's."""
        pattern = re.compile(rf'"([A-Z]+) ({re.escape(self.opened.prefix)}[^ "]*) HTTP/1\.1" ')
        return Counter(pattern.findall(self.site.log.read_text()))

    def decided(self) -> bool:
        """Whether everything that reached the app is noted as a request that was decided on."""
        self.begin()
        if self.site.way == "haproxy":
            return True  # which has a log of its own
        seen = Counter((one.method, one.target.partition("?")[0]) for one in self.all_seen)
        return seen <= self.logged()


@pytest.fixture
def stage(site):
    made = Stage(site)
    yield made
    made.app.close()


class Answers:
    """What comes back on one connection, as h11 reads it."""

    def __init__(self, sock) -> None:
        self._sock = sock
        self._rest = b""

    def next(self, method="GET"):
        """Return status, fields and body; ``None`` at an end, also in the middle of an answer.

        Raises ``h11.RemoteProtocolError`` if it is no HTTP, ``TimeoutError`` if nothing comes.
        """
        reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        reader.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        reader.send(h11.EndOfMessage())
        if self._rest:
            reader.receive_data(self._rest)
        head, body = None, b""
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                data = self._recv()
                if not data and not _ends_with_the_connection(head):
                    return None
                reader.receive_data(data)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._rest = reader.trailing_data[0]
                return (
                    head.status_code,
                    {n.decode(): v.decode("latin-1") for n, v in head.headers},
                    body,
                )
            elif isinstance(event, h11.ConnectionClosed):
                return None

    def _recv(self) -> bytes:
        try:
            return self._sock.recv(65536)
        except ConnectionResetError:
            return b""


def _ends_with_the_connection(head) -> bool:
    names = {name for name, _ in head.headers} if head is not None else {b"content-length"}
    return not names & {b"content-length", b"transfer-encoding"}


def test_valid_requests_arrive_as_they_are_and_each_has_its_answer(stage):
    @TRIES
    @given(st.lists(requests(), min_size=1, max_size=4), CUTS)
    def check(asked, cuts):
        stage.begin()
        with stage.browser() as sock:
            for piece in cut(b"".join(stage.raw(one) for one in asked), cuts):
                sock.sendall(piece)
            answers = Answers(sock)
            for number, one in enumerate(asked):
                status, fields, body = answers.next(one.method)
                assert (status, fields["x-number"]) == (200, str(number))
                assert body == (b"" if one.method == "HEAD" else b"number %d" % number)
        assert not stage.app.broken
        assert len(stage.app.seen) == len(asked)
        for came, one in zip(stage.app.seen, asked, strict=True):
            assert (came.method, came.target, came.body) == (
                one.method, stage.opened.prefix + one.target, one.whole_body,
            )  # fmt: skip
            assert_own_fields_pass(came, one)

    check()
    eventually(stage.decided)


def assert_own_fields_pass(came, one):
    """Fields that are nobody's but the app's come in their order, with their values."""
    ours = r"x-(forwarded|original|remote|auth|authenticated|aen|envoy|token)-|x-(client-cert|ssl-)"
    whole = r"x-(hop|scheme|url-scheme|real-ip|user|username|email|groups)$|.*_"
    dropped = re.compile(f"{ours}|{whole}")
    sent = [(name.lower(), value) for name, value in one.fields if name.startswith("X-")]
    wanted = [pair for pair in sent if not dropped.match(pair[0])]
    got = [pair for pair in came.fields if pair in wanted]
    assert got == wanted


def test_whatever_reaches_the_app_of_broken_requests_is_a_good_one(stage):
    @BROKEN
    @given(st.lists(requests(("GET", "POST", "PUT")), min_size=1, max_size=3), DAMAGES, CUTS)
    def check(asked, damages, cuts):
        stage.begin()
        data = damaged(b"".join(stage.raw(one) for one in asked), damages)
        with stage.browser() as sock:
            try:
                for piece in cut(data, cuts):
                    sock.sendall(piece)
            except OSError:
                pass  # refused before its end
            numbers = heard(sock)
        assert not stage.app.broken, data
        assert numbers == sorted(set(numbers)), data
        for came in stage.app.seen:
            assert came.target.startswith(stage.opened.prefix), data
            assert len(came.all("host")) == 1, data
            assert came.all("authorization") == ["token of-the-app"], data
            cookies = ";".join(came.all("cookie")).split(";")
            assert not [one for one in cookies if one.strip().startswith("aen_")], data
            assert came.all("x-forwarded-for") == ["127.0.0.1"], data

    check()
    eventually(stage.decided)


def heard(sock) -> list[int]:
    """Return the numbers of the app's answers that come back; they must be HTTP."""
    sock.settimeout(QUIET)
    answers, numbers = Answers(sock), []
    try:
        while (answer := answers.next()) is not None:
            if "x-number" in answer[1]:
                numbers.append(int(answer[1]["x-number"]))
    except (TimeoutError, OSError):
        pass
    return numbers


def test_valid_answers_come_back_as_they_are(stage):
    @TRIES
    @given(st.lists(st.tuples(answers(), CUTS), min_size=1, max_size=3))
    def check(made):
        stage.begin()

        if stage.site.way == "haproxy":  # of 2.6 loses what comes right behind interim answers
            made = [(answer._replace(interim=[]), cuts) for answer, cuts in made]

        def reply(number, _):
            answer, cuts = made[number]
            return Reply(cut(answer.raw(number), cuts), answer.framing == "close")

        stage.app.reply = reply
        with ExitStack() as open_ones:
            came = None
            for number, (answer, _) in enumerate(made):
                if came is None:
                    sock = open_ones.enter_context(stage.browser())
                    came = Answers(sock)
                sock.sendall(request(stage, number))
                status, fields, body = came.next()
                assert (status, fields["x-number"]) == (answer.status, str(number))
                assert body == answer.whole_body
                if answer.framing == "close" and stage.site.way == "haproxy":
                    came = None  # it ends the browser's connection, too
        assert not stage.app.broken

    check()


def request(stage, number) -> bytes:
    lines = [f"GET {stage.opened.prefix}{number} HTTP/1.1", *stage.always, "", ""]
    return "\r\n".join(lines).encode()


def test_of_broken_answers_none_is_taken_for_another(stage):
    """Each answer, or what stands behind it, is damaged; each request hears its own, or a page."""

    @BROKEN
    @given(st.lists(st.tuples(answers(), DAMAGES, CUTS, st.booleans(), st.booleans()),
                    min_size=1, max_size=3))  # fmt: skip
    def check(made):
        stage.begin()
        tokens = {}

        def reply(_, asked):
            number = int(asked.target.rpartition("/")[2])
            answer, damages, cuts, behind, close = made[number]
            raw = answer.raw(number)
            data = raw + damaged(answer.raw(99), damages) if behind else damaged(raw, damages)
            tokens[number] = data
            return Reply(cut(data, cuts), close or answer.framing == "close")

        stage.app.reply = reply
        for number in range(len(made)):
            with stage.browser() as sock:
                sock.settimeout(QUIET)
                sock.sendall(request(stage, number))
                try:
                    answer = Answers(sock).next()
                except TimeoutError:
                    continue  # the app has not sent all that it promised
                except h11.RemoteProtocolError:
                    if stage.site.way != "haproxy":  # which passes on a status such as 40
                        raise
                    continue
                if answer is not None and "x-number" in answer[1]:
                    assert answer[1]["x-number"] != "99", tokens
                elif answer is not None:
                    assert answer[0] in range(200, 600), tokens
        assert not stage.app.broken

    check()
