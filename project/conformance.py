"""What the specifications ask and this server does, clause by clause: /docs/conformance/.

The matrix is data that `make conformance` writes from a run of tests/conformance/.
"""

import functools
import json
from collections import Counter
from itertools import groupby
from pathlib import Path

from django.shortcuts import render
from django.utils.text import slugify

MATRIX = Path(__file__).with_name("conformance.json")
VERDICTS = {"met": "good", "not met": "bad", "not tested": "warn"}
PYTEST = ".venv/bin/pytest"


def conformance(request):
    """Every requirement with its verdict and the command that repeats its test."""
    return render(request, "conformance.html", matrix())


@functools.cache
def matrix():
    """Return what the page shows; it changes with a deployment only."""
    rows = json.loads(MATRIX.read_text())
    for row in rows:
        row["badge"] = VERDICTS[row["verdict"]]
        row["command"] = f"{PYTEST} {row['test']}" if row["test"] else ""
    specifications = []
    for (name, title), theirs in groupby(rows, key=lambda row: (row["spec"], row["title"])):
        clauses = list(theirs)
        files = sorted({row["test"].partition("::")[0] for row in clauses} - {""})
        specifications.append(
            {
                "name": name,
                "title": title,
                "anchor": slugify(name),
                "totals": totals(clauses),
                "clauses": clauses,
                "command": f"{PYTEST} {' '.join(files)}",
            }
        )
    return {
        "totals": totals(rows),
        "specifications": specifications,
        "open": [row for row in rows if row["verdict"] == "not met"],
    }


def totals(rows):
    """Return how many rows have which verdict, as `(verdict, badge, count)` in a fixed order."""
    found = Counter(row["verdict"] for row in rows)
    return [(verdict, badge, found[verdict]) for verdict, badge in VERDICTS.items()]
