"""A line of the log: quickly written, and as structlog writes it."""

import json
import logging
import re

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from project import logs

HEAD = {"level": "info", "logger": "pawprint.request", "timestamp": "2026-11-21T16:51:30.410182Z"}
VALUES = st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text())
EVENTS = st.builds(
    lambda event, rest: {"event": event} | rest | HEAD,
    st.text(),
    st.dictionaries(st.text(st.characters(categories=["L"]), min_size=1), VALUES),
)


@given(EVENTS.filter(lambda event: logs.HAS_LINES_OF_ITS_OWN.isdisjoint(event)))
def test_text_is_as_structlog_has_it(event):
    renderer = structlog.dev.ConsoleRenderer(colors=False)
    assert logs.as_text(event).rstrip(" ") == renderer(None, "info", dict(event))


@pytest.mark.parametrize("has_orjson", [True, False])
def test_json_says_what_structlog_says(monkeypatch, has_orjson):
    if not has_orjson:
        monkeypatch.setattr(logs, "orjson", None)
    event = HEAD | {"event": "é \u2028", "big": 2**70, "half": "\ud800", "other": object, "n": None}
    for left_out in ({"big", "half"}, set()):
        some = {name: value for name, value in event.items() if name not in left_out}
        said = json.loads(structlog.processors.JSONRenderer()(None, "info", dict(some)))
        line = logs.as_json(some)
        assert json.loads(line) == said
        assert "\n" not in line


@pytest.fixture
def written():
    """Return what the formatter makes of a record, by `write`."""

    def formatted(write, record):
        formatter = logs.Formatter(
            write=write,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(
                    colors=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
            foreign_pre_chain=[structlog.stdlib.add_log_level],
        )
        return formatter.format(record)

    return formatted


def test_what_has_more_lines_or_comes_from_elsewhere_is_left_to_structlog(written, caplog):
    with caplog.at_level(logging.INFO):
        structlog.get_logger("ours").info("short", path="/a b")
        structlog.get_logger("ours").error("long", exc_info=ValueError("on purpose"))
        logging.getLogger("theirs").warning("%s pets", 3)
        logging.getLogger("theirs").warning({"a": "dict"})
    for record in caplog.records:
        assert written(logs.as_text, record) == written(None, record)
    assert "ValueError: on purpose" in written(logs.as_text, caplog.records[1])
    assert "[info     ] short " in written(logs.as_text, caplog.records[0])


def test_a_note_is_what_structlog_makes_of_it(caplog):
    logs.ids.set({"request_id": "job-42"})
    with caplog.at_level(logging.INFO, logger="ours"):
        logs.note(logging.getLogger("ours"), logging.INFO, "request", path="/a b", status=200)
        structlog.get_logger("ours").info("request", path="/a b", status=200)
        logs.note(logging.getLogger("ours"), logging.DEBUG, "request", path="/quiet")
    quick, usual = caplog.records
    assert [*quick.msg] == [*usual.msg]
    stamps = [record.msg.pop("timestamp") for record in caplog.records]
    assert quick.msg == usual.msg
    assert quick.msg["request_id"] == "job-42"
    for stamp in stamps:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", stamp)
    for name in ("name", "levelno", "_name", "args", "exc_info"):
        assert getattr(quick, name) == getattr(usual, name)
