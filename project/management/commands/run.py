"""Start everything on this machine: migrations, demo data once, web server and task worker."""

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
        processes = {
            "web server": subprocess.Popen(
                [
                    *(sys.executable, "-m", "granian", "--interface", "wsgi"),
                    *("--host", host, "--port", port, "--workers", str(workers)),
                    *("--blocking-threads", "4", "--backpressure", "64", "--no-ws"),
                    *("--log-level", "warning", "project.wsgi:application"),
                ]
            ),
        }
        if urlsplit(settings.TASKS_URL).scheme == "db":
            processes["task worker"] = subprocess.Popen(
                [sys.executable, "manage.py", "db_worker", "--no-startup-delay", "--interval", "2"],
                cwd=settings.BASE_DIR,
            )
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: [p.terminate() for p in processes.values()])
        self.wait_for_port(host, int(port), processes["web server"])
        if demo:
            self.stdout.write(WELCOME.format(url=settings.PUBLIC_URL, **demo))
        else:
            self.stdout.write(f"Pawprint is running at {settings.PUBLIC_URL}")
        self.supervise(processes)

    def wait_for_port(self, host, port, server):
        """Return when the server answers; CommandError when it ends or takes a minute."""
        for _ in range(600):
            if server.poll() is not None:
                raise CommandError(f"The web server did not start; is port {port} taken?")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((host, port)) == 0:
                    return
            time.sleep(0.1)
        raise CommandError("The web server did not answer within a minute.")

    def supervise(self, processes):
        """Return when all have ended; one that ends by itself takes the others with it."""
        while all(process.poll() is None for process in processes.values()):
            time.sleep(0.2)
        for process in processes.values():
            process.terminate()
        codes = {name: process.wait() for name, process in processes.items()}
        failed = [name for name, code in codes.items() if code not in {0, -signal.SIGTERM}]
        if failed:
            raise CommandError(f"The {' and the '.join(failed)} ended unexpectedly.")
