"""How many tokens a second client credentials give, beside django-oauth-toolkit's tutorial.

The other side is what `django-admin startproject` writes with the lines of the toolkit's tutorial
added: its own models, Django's default password hasher for client secrets, SQLite.  Both are
served by the same Python, Django, toolkit and granian with as many processes and threads, each
with one app that signs in by HTTP Basic.  They take turns, so that an unquiet machine slows both.
The exit status is 0 when the target was reached.
"""

import argparse
import base64
import contextlib
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from serving import Server, need, served, set_up, start_project

FORM = "grant_type=client_credentials"
AT_LEAST = 100  # times as many as the tutorial
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


@dataclass
class Side:
    """One of the two servers, its app, and what was measured of it: a dict for each round."""

    server: Server
    client_id: str = "benchmark"
    secret: str = field(default_factory=lambda: secrets.token_hex(48))
    rounds: list = field(default_factory=list)

    @property
    def name(self):
        return self.server.name

    def headers(self, secret=None):
        pair = f"{self.client_id}:{secret or self.secret}"
        return {
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def prepare(self):
        """Make the tables and the app."""
        for words in (
            ["migrate", "-v0"],
            [
                *("createapplication", "confidential", "client-credentials", "--name", "Benchmark"),
                *("--client-id", self.client_id, "--client-secret", self.secret),
            ],
        ):
            subprocess.run(
                [sys.executable, "manage.py", *words],
                cwd=self.server.cwd,
                env=self.server.env,
                check=True,
                stdout=subprocess.DEVNULL,
            )

    def check(self):
        """Exit unless the answers are those of RFC 6749 §5."""
        status, headers, body = self.server.ask("POST", "/o/token/", FORM, self.headers())
        token = json.loads(body) if status == 200 else {}
        good = (
            re.fullmatch(r"[\w.~+/-]{20,}=*", token.get("access_token", ""), re.ASCII)
            and token.get("token_type", "").lower() == "bearer"
            and token.get("expires_in", 0) > 0
            and "no-store" in headers.get("Cache-Control", "")
        )
        if not good:
            sys.exit(f"{self.name}: no token as RFC 6749 §5.1 asks for: {status} {body}")
        status, _, body = self.server.ask("POST", "/o/token/", FORM, self.headers("wrong"))
        if status != 401 or json.loads(body).get("error") != "invalid_client":
            sys.exit(f"{self.name}: a wrong secret is answered {status} {body}")

    def load(self, seconds, connections):
        """Ask for tokens that long from that many connections; return the figures."""
        return self.server.load(
            *(seconds, ["/o/token/"], "POST", self.headers(), FORM, connections)
        )

    def median(self, name):
        return statistics.median(figures[name] for figures in self.rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of a side in a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    need()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        set_up(folder)
        tutorial = Path(folder) / "tutorial"
        env = start_project(tutorial, TUTORIAL_SETTINGS, TUTORIAL_URLS)
        command = served("tutorial.wsgi:application", options.workers)
        stock = Side(Server("toolkit's tutorial", command, tutorial, env))
        ours = Side(Server("Pawprint", served(workers=options.workers)))
        sides = [stock, ours]
        for side in sides:
            side.prepare()
            stack.enter_context(side.server)
            side.server.wait()
            side.check()
            side.load(1, options.connections)  # every process has answered once
        for _ in range(options.rounds):
            for side in sides:
                side.rounds.append(side.load(options.seconds, options.connections))

    print(
        f"Medians of {options.rounds} rounds of {options.seconds} s, {options.workers} processes, "
        f"{options.connections} connections by wrk:\n"
    )
    print(f"{'':<20}{'tokens/s':>10}{'p50, ms':>10}{'p99, ms':>10}{'CPU ms/token':>14}")
    for side in sides:
        cells = [f"{side.median(name):>10,.1f}" for name in ("rate", "p50", "p99")]
        print(f"{side.name:<20}{''.join(cells)}{side.median('cpu') / 1000:>14,.2f}")
    ratios = [b["rate"] / a["rate"] for a, b in zip(stock.rounds, ours.rounds, strict=True)]
    times = statistics.median(ratios)
    print(
        f"\nPawprint gives {times:,.0f} times as many "
        f"(rounds: {', '.join(f'{ratio:,.0f}' for ratio in ratios)}); "
        f"{stock.median('cpu') / ours.median('cpu'):,.0f} times by CPU."
    )
    reached = times >= AT_LEAST
    print(f"{'reached' if reached else 'NOT REACHED'}: {times:,.0f} times, at least {AT_LEAST}")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
