"""How many tokens a second client credentials give, beside django-oauth-toolkit's tutorial.

The other side is what `django-admin startproject` writes with the lines of the toolkit's tutorial
added: its own models, Django's default password hasher for client secrets, SQLite.  Both are
served by the same Python, Django, toolkit and granian with as many processes and threads, each
with one app that signs in by HTTP Basic.  They take turns, so that an unquiet machine slows both.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORM = "grant_type=client_credentials"
TUTORIAL_SETTINGS = """
DEBUG = False  # with True, Django keeps every query in memory
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS += ["oauth2_provider", "corsheaders"]
MIDDLEWARE.insert(0, "corsheaders.middleware.CorsMiddleware")
CORS_ORIGIN_ALLOW_ALL = True
LOGIN_URL = "/admin/login/"
"""
TUTORIAL_URLS = """
from django.urls import include, path

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
"""
WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = "{form}"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Authorization"] = "{authorization}"

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  local text = '{{"requests": %d, "failed": %d, "seconds": %f, "p50": %f, "p99": %f}}\\n'
  io.write(string.format(text, summary.requests, failed, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass
class Side:
    """One of the two servers, and what was measured of it: a dict for each round."""

    name: str
    folder: Path
    module: str
    env: dict
    client_id: str = "benchmark"
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(64))
    port: int = 0
    process: subprocess.Popen | None = None
    rounds: list = field(default_factory=list)

    def manage(self, *arguments):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env=self.env,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    @property
    def authorization(self):
        pair = f"{self.client_id}:{self.secret}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def prepare(self):
        """Make the tables and the app."""
        self.manage("migrate", "-v0")
        self.manage(
            *("createapplication", "confidential", "client-credentials", "--name", "Benchmark"),
            *("--client-id", self.client_id, "--client-secret", self.secret),
        )

    def start(self, workers):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(workers)),
                *("--blocking-threads", "16", "--backpressure", "512"),
                *("--workers-kill-timeout", "3", "--log-level", "warning"),
                f"{self.module}.wsgi:application",
            ],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.1)
        sys.exit(f"{self.name}: the server does not answer")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)

    def ask(self, connection, authorization=None):
        """Post one token request and return `(response, body)`."""
        headers = {
            "Authorization": authorization or self.authorization,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        connection.request("POST", "/o/token/", FORM, headers)
        response = connection.getresponse()
        return response, response.read()

    def check(self):
        """Exit unless the answers are those of RFC 6749 §5."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        response, body = self.ask(connection)
        token = json.loads(body) if response.status == 200 else {}
        good = (
            re.fullmatch(r"[\w.~+/-]{20,}=*", token.get("access_token", ""), re.ASCII)
            and token.get("token_type", "").lower() == "bearer"
            and token.get("expires_in", 0) > 0
            and "no-store" in response.headers.get("Cache-Control", "")
        )
        if not good:
            sys.exit(f"{self.name}: no token as RFC 6749 §5.1 asks for: {response.status} {body}")
        wrong = base64.b64encode(f"{self.client_id}:wrong".encode()).decode()
        response, body = self.ask(connection, f"Basic {wrong}")
        if response.status != 401 or json.loads(body).get("error") != "invalid_client":
            sys.exit(f"{self.name}: a wrong secret is answered {response.status} {body}")

    def cpu(self):
        """Return the CPU seconds of the server's processes so far; None where /proc is missing."""
        ticks = 0
        try:
            for stat in Path("/proc").glob("[0-9]*/stat"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    # After the name, which may hold anything: state, parent, …
                    fields = stat.read_text().rpartition(") ")[2].split()
                    if self.process.pid in (int(fields[1]), int(stat.parent.name)):
                        ticks += int(fields[11]) + int(fields[12])
        except OSError:
            return None
        return ticks / os.sysconf("SC_CLK_TCK") if ticks else None

    def measure(self, load, seconds, connections):
        """Ask for tokens that long from that many connections, and keep the figures."""
        before = self.cpu()
        figures = load(self, seconds, connections)
        if figures["failed"] or not figures["requests"]:
            sys.exit(f"{self.name}: {figures['failed']} requests failed")
        if before is not None:
            figures["cpu"] = (self.cpu() - before) * 1000 / figures["requests"]
        figures["rate"] = figures["requests"] / figures["seconds"]
        self.rounds.append(figures)

    def median(self, name):
        values = [figures[name] for figures in self.rounds if name in figures]
        return statistics.median(values) if values else float("nan")


def load_by_wrk(side, seconds, connections):
    """Ask by wrk, which takes little of the CPU that is measured."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT.format(form=FORM, authorization=side.authorization))
        script.flush()
        command = [
            *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "120s"),
            *("-s", script.name, f"http://127.0.0.1:{side.port}/o/token/"),
        ]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def load_by_threads(side, seconds, connections):
    """Ask by threads of this process, whose own CPU then slows the faster side down."""
    taken, failed, started = [], [], time.perf_counter()

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=120)
        while (begun := time.perf_counter()) < started + seconds:
            response, _ = side.ask(connection)
            taken.append((time.perf_counter() - begun) * 1000)
            if response.status != 200:
                failed.append(response.status)

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    centiles = statistics.quantiles(taken, n=100)
    return {
        "requests": len(taken),
        "failed": len(failed),
        "seconds": time.perf_counter() - started,
        "p50": centiles[49],
        "p99": centiles[98],
    }


def tutorial(folder):
    """Write the tutorial's project into `folder` and return it."""
    command = [sys.executable, "-m", "django", "startproject", "tutorial", str(folder)]
    subprocess.run(command, check=True)
    with (folder / "tutorial/settings.py").open("a") as settings:
        settings.write(TUTORIAL_SETTINGS)
    (folder / "tutorial/urls.py").write_text(TUTORIAL_URLS)
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return Side("toolkit's tutorial", folder, "tutorial", env)


def pawprint(folder):
    """Return this project with an empty database in `folder`."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in {"CACHE_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
    }
    return Side("Pawprint", ROOT, "project", env | {"VAR_DIR": str(folder / "var")})


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of a side in a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    load = load_by_wrk if shutil.which("wrk") else load_by_threads
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        (Path(folder) / "tutorial").mkdir()
        sides = [tutorial(Path(folder) / "tutorial"), pawprint(Path(folder))]
        for side in sides:
            side.prepare()
            stack.callback(side.stop)
            side.start(options.workers)
            side.check()
            load(side, 1, options.connections)  # every process has answered once
        for _ in range(options.rounds):
            for side in sides:
                side.measure(load, options.seconds, options.connections)

    how = "wrk" if load is load_by_wrk else "threads of Python, as there is no wrk here"
    print(
        f"Medians of {options.rounds} rounds of {options.seconds} s, {options.workers} processes, "
        f"{options.connections} connections by {how}:\n"
    )
    print(f"{'':<20}{'tokens/s':>10}{'p50, ms':>10}{'p99, ms':>10}{'CPU ms/token':>14}")
    for side in sides:
        cells = [f"{side.median(name):>10,.1f}" for name in ("rate", "p50", "p99")]
        print(f"{side.name:<20}{''.join(cells)}{side.median('cpu'):>14,.2f}")
    stock, ours = sides
    ratios = [b["rate"] / a["rate"] for a, b in zip(stock.rounds, ours.rounds, strict=True)]
    print(
        f"\nPawprint gives {statistics.median(ratios):,.0f} times as many "
        f"(rounds: {', '.join(f'{ratio:,.0f}' for ratio in ratios)}); "
        f"{stock.median('cpu') / ours.median('cpu'):,.0f} times by CPU."
    )


if __name__ == "__main__":
    main()
