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

from api.management.commands import load_demo

WELCOME = """
  Pawprint is running at {url}

  Browse    {url}/api/v1/          sign in as {username}, password {password}
  Docs      {url}/docs/
  Script    curl -H "X-API-Key: $(cat {key_file})" {url}/api/v1/pets/
  Stop      Ctrl+C
"""


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--no-demo", action="store_true", help="Start with an empty registry.")
        parser.add_argument(
            "--workers", type=int, default=os.cpu_count() or 1, help="Server processes."
        )

    def handle(self, *, no_demo, workers, **options):
        host = os.environ.get("HOST", "127.0.0.1")
        port = os.environ.get("PORT", "8000")
        self.stdout.write("Preparing the database …")
        call_command("migrate", verbosity=0)
        demo = None if no_demo else load_demo.ensure()
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
                self.stdout.write(f"Pawprint is running at {settings.PUBLIC_URL}")
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
                raise CommandError(f"The web server did not start; is port {port} taken?")
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


def server(host, port, workers):
    """The arguments that serve project.wsgi with `workers` processes."""
    return (
        *("-m", "granian", "--interface", "wsgi", "--host", host, "--port", port),
        *("--workers", str(workers), "--blocking-threads", "4", "--backpressure", "64"),
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
