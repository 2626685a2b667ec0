"""The matrix: every requirement, its verdict, and the tests that say so."""

import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
FILE = FOLDER.parents[1] / "project" / "conformance.json"
COMMAND = "make conformance"
SPECIFICATIONS = {
    "RFC 6749": "The OAuth 2.0 Authorization Framework",
    "RFC 6750": "Bearer Token Usage",
    "RFC 7009": "Token Revocation",
    "RFC 7591": "Dynamic Client Registration Protocol",
    "RFC 7592": "Dynamic Client Registration Management Protocol",
    "RFC 7636": "Proof Key for Code Exchange (PKCE)",
    "RFC 7662": "Token Introspection",
    "RFC 8252": "OAuth 2.0 for Native Apps",
    "RFC 8414": "Authorization Server Metadata",
    "RFC 8628": "Device Authorization Grant",
    "RFC 8707": "Resource Indicators",
    "RFC 9207": "Authorization Server Issuer Identification",
    "RFC 9700": "Best Current Practice for OAuth 2.0 Security",
    "RFC 9728": "Protected Resource Metadata",
    "OpenID Connect Core": "OpenID Connect Core 1.0",
    "OpenID Connect Discovery": "OpenID Connect Discovery 1.0",
    "RP-Initiated Logout": "OpenID Connect RP-Initiated Logout 1.0",
    "Client ID Metadata": "OAuth Client ID Metadata Document (draft 01)",
}
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT"}
MET, NOT_MET, NOT_TESTED = "met", "not met", "not tested"


def of(specification):
    """Return the marker for requirements of `specification`: section, level, and what it asks."""

    def requirement(section, level, text):
        return pytest.mark.requirement(specification, section, level, text)

    return requirement


class Matrix:
    """What a run collects, and what it finds."""

    def __init__(self):
        self.tests = {}  # node id → (the requirements it shows, why they are not met or "")
        self.outcomes = {}  # node id → "passed", "failed", "unmet" or "skipped"
        self.not_tested = []
        self.files = set()

    def collect(self, item):
        """Take up a test; UsageError for one that names no requirement, or none that can be."""
        requirements = [mark.args for mark in item.iter_markers("requirement")]
        if not requirements:
            raise pytest.UsageError(f"{item.nodeid} names no requirement.")
        for specification, _, level, _ in requirements:
            if specification not in SPECIFICATIONS or level not in LEVELS:
                raise pytest.UsageError(f"{item.nodeid}: {specification} {level} is not known.")
        unmet = item.get_closest_marker("unmet")
        self.tests[item.nodeid] = (requirements, unmet.args[0] if unmet else "")
        if item.path not in self.files:
            self.files.add(item.path)
            self.not_tested.extend(getattr(item.module, "not_tested", []))

    def is_whole(self):
        """Return whether every file of this folder was collected and every test of it ran."""
        files = set(FOLDER.glob("test_*.py")) - {FOLDER / "test_matrix.py"}
        return self.files == files and self.outcomes.keys() == self.tests.keys()

    def holds(self):
        """Return whether every test ended as it says it will."""
        return set(self.outcomes.values()) <= {"passed", "unmet"}

    def rows(self):
        """Return the rows of the matrix as they are written: sorted, and the same in every run."""
        rows = {}
        for node, (requirements, unmet) in self.tests.items():
            test = node.partition("[")[0]
            for specification, section, level, text in requirements:
                row = rows.setdefault(
                    (specification, section, text), make_row(specification, section, level, text)
                )
                if test not in row["test"].split():
                    row["test"] = f"{row['test']} {test}".strip()
                if unmet:
                    row |= {"verdict": NOT_MET, "reason": unmet}
        for specification, section, level, text, reason in self.not_tested:
            row = make_row(specification, section, level, text)
            row |= {"verdict": NOT_TESTED, "reason": reason}
            rows[specification, section, text] = row
        return sorted(rows.values(), key=in_order)


def make_row(specification, section, level, text):
    return {
        "spec": specification,
        "title": SPECIFICATIONS[specification],
        "section": section,
        "level": level,
        "requirement": text,
        "verdict": MET,
        "test": "",
        "reason": "",
    }


def in_order(row):
    numbers = [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in row["section"].split(".")
    ]
    return list(SPECIFICATIONS).index(row["spec"]), numbers, row["requirement"]


def is_to_be_written():
    return bool(os.environ.get("WRITE_CONFORMANCE"))


def as_text(rows):
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
