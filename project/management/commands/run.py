"""Start everything on this machine: migrations, demo data once, web server and task worker."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.models import LOOPBACK_HOSTS
from api.management.commands import load_demo

WELCOME = """
  Pawprint is running at {url}

  Browse    {url}/api/v1/          sign in as {username}, password {password}
  Docs      {url}/docs/
  Script    curl -H "X-API-Key: $(cat {key_file})" {url}/api/v1/pets/
  Stop      Ctrl+C
"""

ELSEWHERE = """  Other machines are answered once PUBLIC_URL says the address they use, such as
  PUBLIC_URL=http://192.0.2.7:8000
"""


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--no-demo", action="store_true", help="Start with an empty registry.")
        parser.add_argument(
            "--workers", type=int, default=cores(), help="Server processes; one for each core."
        )

    def handle(self, *, no_demo, workers, **options):
        host = os.environ.get("HOST", "127.0.0.1")
        port = str(settings.PORT)
        refuse_taken(host, port)
        self.stdout.write("Preparing the database …")
        call_command("migrate", verbosity=0)
        if no_demo:
            demo = None
        else:
            # Once: what you remove of it stays removed.
            demo = load_demo.entrance() if load_demo.is_loaded() else load_demo.ensure()
        self.stopping = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self.stop)
        processes = {"web server": start(*server(host, port, workers))}
        if urlsplit(settings.TASKS_URL).scheme == "db":
            processes["task worker"] = start(
                *("manage.py", "db_worker", "--no-startup-delay", "--interval", "2")
            )
        try:
            self.wait_for_port(host, int(port), processes["web server"])
            if demo:
                self.stdout.write(WELCOME.format(url=settings.PUBLIC_URL, **demo))
            else:
                self.stdout.write(f"\n  Pawprint is running at {settings.PUBLIC_URL}\n")
            if "PUBLIC_URL" not in os.environ and host not in LOOPBACK_HOSTS:
                self.stdout.write(ELSEWHERE)
            self.stdout.flush()  # to a pipe or a file it would wait for the end
            self.wait_for_the_end(processes)
        finally:
            end(processes.values())

    def stop(self, *_):
        self.stopping = True

    def wait_for_port(self, host, port, server):
        """Return when the server answers; CommandError when it ends or takes a minute."""
        for _ in range(600):
            if self.stopping:
                return
            if server.poll() is not None:
                raise CommandError("The web server did not start; its reason stands above.")
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
                return
            time.sleep(0.1)
        raise CommandError("The web server did not answer within a minute.")

    def wait_for_the_end(self, processes):
        """Return when told to stop; CommandError when one of the processes ends by itself."""
        while not self.stopping:
            for name, process in processes.items():
                if process.poll() is not None:
                    raise CommandError(f"The {name} ended unexpectedly.")
            time.sleep(0.2)


def refuse_taken(host, port):
    """Raise CommandError when `host` and `port` are nothing that we can listen on.

    The server shares a port that another Pawprint holds, and half the requests would go there.
    """
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except (OSError, OverflowError, ValueError) as error:
        raise CommandError(
            f"Cannot listen on {host}:{port} ({error}). Another server may be running there; "
            "try PORT=8001 make run."
        ) from None


def cores():
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def server(host, port, workers):
    """The arguments that serve project.wsgi with `workers` processes."""
    return (
        *("-m", "granian", "--interface", "wsgi", "--host", host, "--port", port),
        *("--workers", str(workers), "--backpressure", "512"),
        *("--blocking-threads", str(settings.SERVER_THREADS)),
        # Whoever sends nothing holds a connection no longer than this (ms).
        *("--http1-header-read-timeout", "5000"),
        # Without a time-out the master may wait for ever for a worker that missed the signal.
        *("--workers-kill-timeout", "3", "--no-ws", "--log-level", "warning"),
        "project.wsgi:application",
    )


def start(*arguments):
    """Start Python with `arguments` in a session of its own: Ctrl+C reaches it once, through us."""
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=settings.BASE_DIR, start_new_session=True
    )


def end(processes):
    """Stop the processes: politely, and after ten seconds by force."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
