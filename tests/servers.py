"""Starting the real thing for tests: its own processes, its own database, a free port."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Server:
    """A running server: where it is, and what its demo left under var/."""

    url: str
    var: Path
    env: dict

    @property
    def key(self):
        return (self.var / "demo_api_key").read_text()

    @property
    def password(self):
        return (self.var / "demo_password").read_text()

    def manage(self, *arguments):
        """Run `manage.py` on the server's database and return what it prints on stdout."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_server(var, **environment):
    """Run `manage.py run` until the block ends; `environment` is added to its own."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DJANGO_SETTINGS_MODULE", "TASKS_URL", "EMAIL_URL", "ALLOWED_HOSTS"}
        and name not in {"DATABASE_URL", "LOG_LEVEL"}
    }
    env = inherited | {"VAR_DIR": str(var), "PORT": port, "HOST": "127.0.0.1"} | environment
    log = var.parent / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, url, log)
            yield Server(url, var, env)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def wait_until_ready(process, url, log):
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"The server ended:\n{log.read_text()}")
        with contextlib.suppress(requests.ConnectionError):
            ready = requests.get(f"{url}/health/ready", timeout=5).status_code == 200
            if ready and "is running at" in log.read_text():  # the last thing it says
                return
        time.sleep(0.1)
    raise RuntimeError(f"The server is not ready:\n{log.read_text()}")
