"""The access log's lines, and that none is lost at the end."""

import io
import re
from datetime import UTC, datetime, timedelta

import pytest

from gateway.accesslog import _FLUSH_LINES, AccessLog

#: As programs that read such logs have it.
COMBINED = re.compile(
    r'(?P<client>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) '
    r'(?:\d+|-) "(?P<referer>[^"]*)" "(?P<browser>[^"]*)"(?P<more>.*)',
    re.DOTALL,
)


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
async def log(out):
    return AccessLog(out)


async def written(log, out, path=b"/mira/study/lab/", seconds=0.0, user="u-1"):
    log.add("127.0.0.1", user, ("GET", path), 200, seconds)
    log.flush()
    return out.getvalue()


async def test_a_line_says_when_who_what_and_how_it_went(log, out):
    line = await written(log, out, seconds=0.0124)
    found = COMBINED.fullmatch(line)
    assert found.group("client", "user", "status") == ("127.0.0.1", "u-1", "200")
    assert found["request"] == "GET /mira/study/lab/ HTTP/1.1"
    assert found["more"] == " 12\n"
    before = datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert abs(datetime.now(UTC) - before) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0"), (0.0004, "0"), (0.0006, "1"), (0.9989, "999"), (12.3456, "12346")],
)
async def test_durations_are_in_milliseconds(log, out, seconds, text):
    assert (await written(log, out, seconds=seconds)).endswith(f" {text}\n")


async def test_a_path_cannot_end_its_quotes_or_its_line(log, out):
    line = await written(log, out, path=b'/x" 200 \xff')
    assert '"GET /x%22 200 \\xff HTTP/1.1"' in line


async def test_nobody_is_a_dash(log, out):
    assert "127.0.0.1 - - [" in await written(log, out, user="")


async def test_each_request_has_a_line_in_order_whether_many_or_few_were_gathered(log, out):
    paths = [f"/p/{number}" for number in range(_FLUSH_LINES + 3)]
    for path in paths:
        log.add("127.0.0.1", "u-1", ("GET", path.encode()), 200, 0.0)
    assert len(out.getvalue().splitlines()) == _FLUSH_LINES
    log.flush()
    assert re.findall(r"GET (\S+) ", out.getvalue()) == paths
    log.flush()
    assert len(out.getvalue().splitlines()) == len(paths)


async def test_a_full_disk_loses_lines_and_nothing_else(log, out):
    out.close()
    log.add("127.0.0.1", "u-1", ("GET", b"/"), 200, 0.0)
    log.flush()
