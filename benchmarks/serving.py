"""What the scripts share: starting servers, loading them with wrk, and reading what they take."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
# What somebody may have set for a Pawprint of theirs; that of a benchmark is as it ships.
SET_ELSEWHERE = {"CACHE_URL", "DATABASE_URL", "DEBUG", "LOG_FORMAT", "LOG_LEVEL", "PUBLIC_URL"}
WRK_SCRIPT = """
local requests, turn = {}, 0

function init()
  wrk.method, wrk.body = %(method)s, %(body)s
  for name, value in pairs({%(headers)s}) do wrk.headers[name] = value end
  for _, path in ipairs({%(paths)s}) do requests[#requests + 1] = wrk.format(nil, path) end
end

function request()
  turn = turn %% #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local figures = {
    requests = summary.requests, seconds = summary.duration / 1e6, refused = errors.status,
    broken = errors.connect + errors.read + errors.write + errors.timeout,
    p50 = latency:percentile(50) / 1e3, p99 = latency:percentile(99) / 1e3,
  }
  for name, value in pairs(figures) do io.write(string.format("figure %%s %%f\\n", name, value)) end
end
"""


def set_up(folder, **environment):
    """Make this process, and what it starts, a Pawprint of its own with its data in `folder`.

    The limits still count, but refuse nobody; `environment` is added to its settings.
    """
    for name in SET_ELSEWHERE:
        os.environ.pop(name, None)
    os.environ |= {"VAR_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "project.settings"}
    for name in ("RATE_LIMIT", "RATE_LIMIT_ANONYMOUS", "RATE_LIMIT_REFUSED", "RATE_LIMIT_TOKEN"):
        os.environ[name] = "999999999/minute"
    os.environ |= environment
    sys.path.insert(0, str(ROOT))
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:  # a database that needs a package, say
        sys.exit(str(error))


def served(application="project.wsgi:application", workers=2, python=sys.executable):
    """Return what starts a WSGI application on a port, just as `manage.py run` starts Pawprint."""
    from project.management.commands.run import server

    def command(port):
        *arguments, _ = server(HOST, str(port), workers)
        return [python, *arguments, application]

    return command


def start_project(folder, settings, urls, python=sys.executable):
    """Write in `folder` what `django-admin startproject tutorial` does, with `settings` added and
    `urls` for its own; return the environment it runs in."""
    folder.mkdir()
    command = [python, "-m", "django", "startproject", "tutorial", str(folder)]
    subprocess.run(command, check=True)
    with (folder / "tutorial/settings.py").open("a") as file:
        file.write(settings)
    (folder / "tutorial/urls.py").write_text(urls)
    return os.environ | {"DJANGO_SETTINGS_MODULE": "tutorial.settings"}


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """A server that runs while its block does: `command(port)` in `cwd` with `env`.

    Both its outputs, an access log among them where there is one, go to a file that nobody reads.
    """

    name: str
    command: Callable
    cwd: Path = ROOT
    env: dict = field(default_factory=lambda: dict(os.environ))
    port: int = 0
    process: subprocess.Popen | None = None
    log: IO | None = None

    def __enter__(self):
        self.port, self.log = free_port(), tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command(self.port), cwd=self.cwd, env=self.env, stdout=self.log, stderr=self.log
        )
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def wait(self, path="/", seconds=60):
        """Return when it answers, whatever it answers; exit with what it said when it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return self.ask("GET", path)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
        self.log.seek(0)
        sys.exit(f"{self.name}: the server does not answer.\n{self.log.read()[-3000:]}")

    def connect(self):
        return http.client.HTTPConnection(HOST, self.port, timeout=120)

    def ask(self, method, path, body=None, headers=None):
        """Send one request on a connection of its own; return `(status, headers, body)`."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def family(self):
        """Return the ids of its processes: the first, and all that it or its children started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # After the name, which may hold anything: state, parent, …
                parents[int(stat.parent.name)] = int(
                    stat.read_text().rpartition(") ")[2].split()[1]
                )
            except OSError:  # it ended
                continue
        family = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    def cpu(self):
        """Return the seconds of CPU that its processes took so far."""
        ticks = 0
        for pid in self.family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Return the most memory, in bytes, that one of its processes holds for itself, without the
        first, which only watches the others."""
        return max(own_memory(pid) for pid in self.family() - {self.process.pid})

    def load(
        self, seconds, paths, method="GET", headers=None, body=None, connections=32, refused=False
    ):
        """Send requests for that long, to one path after the other; return the figures.

        A dict of `rate` (requests a second), `p50` and `p99` (ms), `cpu` (µs a request) and
        `requests`.  Exits unless all are answered well or, with `refused`, none is.  Who answers
        nothing in that time has four times as long.
        """
        script = WRK_SCRIPT % {
            "method": lua(method),
            "body": lua(body) if body else "nil",
            "headers": ",".join(f"[{lua(k)}]={lua(v)}" for k, v in (headers or {}).items()),
            "paths": ",".join(map(lua, paths)),
        }
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(script)
            file.flush()
            before = self.cpu()
            out = subprocess.run(
                [
                    *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "120s"),
                    *("-s", file.name, f"http://{HOST}:{self.port}"),
                ],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            taken = self.cpu() - before
        lines = (line.split() for line in out.splitlines() if line.startswith("figure "))
        figures = {name: float(value) for _, name, value in lines}
        requests = figures["requests"]
        if not requests and seconds < 60:
            return self.load(4 * seconds, paths, method, headers, body, connections, refused)
        if not requests or figures["broken"] or figures["refused"] != (requests if refused else 0):
            sys.exit(f"{self.name}: {method} {paths[0]} was not answered as it should be:\n{out}")
        return figures | {"rate": requests / figures["seconds"], "cpu": taken * 1e6 / requests}


def lua(text):
    return json.dumps(text)  # plain ASCII is written alike in both


def own_memory(pid):
    """Return the bytes of memory that a process holds for itself, 0 when it has ended.

    Pages of files that are mapped, which the kernel may take back, are not counted.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def need(wrk=True):
    """Exit unless what the scripts need is there: /proc, and `wrk` for those that load a server."""
    if wrk and not shutil.which("wrk"):
        sys.exit("wrk makes the load: apt-get install wrk, or brew install wrk.")
    if not Path("/proc/self/status").exists():
        sys.exit("CPU and memory are read from /proc, which this system lacks.")
