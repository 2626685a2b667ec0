"""The benchmarks run: each as `make bench` runs it, only smaller."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .servers import ROOT

PEERS = ROOT / ".venv-bench/bin/python"
SMALL = ["--rounds", "1", "--seconds", "1"]

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="There is no /proc here."
)
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="There is no wrk here.")


def run(script, *arguments, **environment):
    """Run a benchmark and return what it prints; 1 is the exit status of a target not reached."""
    finished = subprocess.run(
        [sys.executable, ROOT / f"benchmarks/{script}.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode in {0, 1}, finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout + finished.stderr


@pytest.mark.server
@needs_proc
@needs_wrk
@pytest.mark.skipif(not PEERS.exists(), reason="make bench installs the peers in .venv-bench.")
def test_all_peers_give_pawprints_answers_and_are_measured_beside_it():
    said = run("compare", "--pets", "100", "--only", "list", "create", *SMALL)
    assert "6 sides give the same" in said, said
    for work in ("list", "create"):
        assert f"\n{work}: " in said, said
        assert f"{work}: a key gives" in said
    for peer in ("stock DRF + DOT", "FastAPI, async", "FastAPI, sync", "raw WSGI"):
        assert said.count(f"\n| {peer} ") == 2


@pytest.mark.server
@needs_proc
@needs_wrk
def test_the_start_and_the_memory_of_a_server_are_measured():
    said = run("startup", "--pets", "100", *SMALL)
    assert "s to the first answer, less than 3" in said, said
    assert "MB a process, less than 150" in said


@pytest.mark.server
@needs_proc
@needs_wrk
def test_tokens_are_measured_beside_the_toolkits_tutorial():
    assert "times as many" in run("tokens", "--workers", "1", *SMALL)


@pytest.mark.server
@needs_proc
def test_streams_are_measured():
    said = run("streams", "300", "--rounds", "1", "--whole", "csv")
    assert "first byte, ms" in said, said
    assert "\ncsv " in said


@pytest.mark.server
@needs_proc
def test_imports_are_measured():
    assert run("import_pets", "100").count("rows/s") == 2


@needs_proc
def test_who_has_no_wrk_is_told_how_to_get_it():
    assert "apt-get install wrk" in run("compare", PATH="")


@needs_proc
@needs_wrk
def test_who_lacks_the_peers_packages_is_told_how_to_get_them():
    assert "requirements/bench.txt" in run("compare", "--peers", "/nowhere/python")


def test_nothing_of_the_peers_is_needed_to_run_pawprint():
    names = {"fastapi", "sqlalchemy", "uvicorn", "gunicorn", "aiosqlite", "asyncpg"}
    lines = (ROOT / "requirements/base.txt").read_text().splitlines()
    assert names.isdisjoint(line.partition("==")[0] for line in lines)
