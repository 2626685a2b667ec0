"""What the whole run found is what is committed, and what /docs/conformance/ shows."""

import json
from html import escape

import pytest

from . import matrix
from .conftest import MATRIX


def test_the_committed_matrix_is_what_this_run_found(request):
    found = request.config.stash[MATRIX]
    if not found.is_whole():
        pytest.skip("Only a run of all of tests/conformance/ has the whole matrix.")
    if not found.holds():
        pytest.skip("Some tests failed: the matrix is neither compared nor written.")
    text = matrix.as_text(found.rows())
    if matrix.is_to_be_written():
        matrix.FILE.write_text(text)
    committed = matrix.FILE.read_text() if matrix.FILE.exists() else "[]"
    if committed != text:
        before = json.loads(committed)
        changed = [row for row in found.rows() if row not in before][:5]
        pytest.fail(f"The matrix has changed; `{matrix.COMMAND}` accepts it: {changed} …")


def test_the_page_shows_every_requirement(world):
    page = world.get("/docs/conformance/")
    assert page.status_code == 200
    rows = json.loads(matrix.FILE.read_text())
    assert all(escape(row["requirement"]) in page.text for row in rows)
    assert all(row["test"] in page.text for row in rows)
    for verdict in {row["verdict"] for row in rows}:
        count = sum(row["verdict"] == verdict for row in rows)
        assert f"{verdict}</span></dt><dd>{count}</dd>" in page.text
