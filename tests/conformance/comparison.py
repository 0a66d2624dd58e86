"""The table of a comparison: how many transcripts each way and each peer keeps to, by area."""

from collections import Counter

LEFT_OUT = "ours alone: "
_AREAS = {
    "test_gateway_http": "HTTP/1.1",
    "test_gateway_smuggling": "requests that can be read in two ways",
    "test_gateway_websocket": "WebSockets",
}
_CLIENT = "fields that say who the client is"
_RANDOM = "messages made at random"
#: How an outcome of pytest's counts; a peer's tests are expected to fail, whatever they do.
_COUNTS = {"passed": 0, "xpassed": 0, "failed": 1, "error": 1, "xfailed": 1, "skipped": 2}


def area(item) -> str:
    """Return the row of the table in which a test is counted."""
    if any(mark.args == (6,) for mark in item.iter_markers("row")):
        return _CLIENT
    return _AREAS.get(item.path.stem, _RANDOM)


def counted(stats) -> dict[tuple[str, str], Counter]:
    """Return by area and way how many tests passed (0), failed (1) and were left out (2)."""
    found: dict[tuple[str, str], Counter] = {}
    for outcome, column in _COUNTS.items():
        for report in stats.get(outcome, ()):
            noted = dict(getattr(report, "user_properties", ()))
            if "way" in noted:
                cell = found.setdefault((noted["area"], noted["way"]), Counter())
                cell[column] += 1
    return found


def show(reporter) -> None:
    """Print the table, as the docs have it."""
    found = counted(reporter.stats)
    ways = list(dict.fromkeys(way for _, way in found))
    reporter.section("passed / does otherwise / not applicable")
    reporter.line("| | " + " | ".join(ways) + " |")
    reporter.line("|---" * (len(ways) + 1) + "|")
    for row in [*_AREAS.values(), _CLIENT, _RANDOM]:
        cells = [found.get((row, way), Counter()) for way in ways]
        texts = [" / ".join(str(cell[column]) for column in range(3)) for cell in cells]
        if any(cells):
            reporter.line(f"| {row} | " + " | ".join(texts) + " |")
