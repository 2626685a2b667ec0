"""The project's settings as tests run them: a folder of their own for var/, tasks done at once.

The database is SQLite unless DATABASE_URL says otherwise; everything else is as it ships.
"""

import os
import tempfile

os.environ.setdefault("VAR_DIR", tempfile.mkdtemp(prefix="pawprint-tests-"))
os.environ.setdefault("TASKS_URL", "immediate://")
os.environ.setdefault("EMAIL_URL", "memorymail://")
os.environ.setdefault("ALLOWED_HOSTS", "testserver,127.0.0.1,localhost")
os.environ.setdefault("LOG_LEVEL", "CRITICAL")

from project.settings import *  # noqa: F403
