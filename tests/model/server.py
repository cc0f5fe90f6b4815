"""A PostgreSQL of the model's own, and its database."""

import contextlib
import os
import shutil
import sys
import tempfile

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))

from postgres import PostgresCluster  # noqa: E402
from process import Ports  # noqa: E402

from database import Database, migrate  # noqa: E402


@contextlib.contextmanager
def database(worker: int = 0):
    folder = tempfile.mkdtemp(prefix="offboard-model-")
    os.chmod(folder, 0o711)  # PostgreSQL's user has to pass
    cluster = None
    try:
        cluster = PostgresCluster(os.path.join(folder, "postgres"), Ports(worker))
        cluster.create_database("model").close()
        with psycopg.connect(cluster.conninfo("model"), autocommit=True) as connection:
            migrate(connection, cluster.conninfo("model"), folder)
            yield Database(connection)
    finally:
        if cluster:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
