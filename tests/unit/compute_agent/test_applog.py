"""An app's output on its way to a page."""

import pytest

from compute_agent.applog import Tail, clean, last_meaningful


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("10%\r55%\r100%", "100%"),
        ("bell\x07 and\x00 nul", "bell and nul"),
        ("\u202eright to left", "right to left"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_only_text_is_shown(raw, shown):
    assert clean(raw) == shown


def test_a_long_line_is_cut():
    assert len(clean("x" * 100_000)) < 1100


def test_lines_come_whole_and_once(tmp_path):
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.read() == []
    with path.open("a") as log:
        log.write("one\ntw")
        log.flush()
        assert tail.read() == ["one"]
        log.write("o\n")
        log.flush()
        assert tail.read() == ["two"]
        log.write("end")
        log.flush()
        assert tail.read(final=True) == ["end"]


def test_a_log_that_turns_is_followed(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    tail = Tail(path)
    assert tail.read() == ["before"]
    path.rename(tmp_path / "log.1")
    path.write_text("after\n")
    assert tail.read() == ["after"]


@pytest.mark.row(22)
def test_the_apps_secret_is_taken_out(tmp_path):
    path = tmp_path / "log"
    path.write_text("http://host/?token=s3cret\n")
    assert Tail(path, "s3cret").read() == ["http://host/?token=…"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Traceback:", "  File x", "ModuleNotFoundError: No module named 'y'", ""],
         "ModuleNotFoundError: No module named 'y'"),
        (["error: no such option: --x", "usage: …"], "error: no such option: --x"),
        (["starting", "bye"], "bye"),
        ([], ""),
    ],
)  # fmt: skip
def test_the_line_that_says_why_is_found(lines, said):
    assert last_meaningful(lines) == said
