"""The specifications, clause by clause, against a running server.

A file per specification, a test per requirement: its marks say section, level and what is asked,
in our own words.  What is not met is marked `unmet` with the reason, and must fail; what no
request can show is listed in its file's `not_tested`.  `make conformance` writes what was found
to project/conformance.json, which /docs/conformance/ shows; any other whole run compares.
"""
