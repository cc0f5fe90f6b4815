"""A PostgreSQL cluster for the tests: a folder and a port of its own, passwords for all roles, nothing synced to disk."""

import fcntl
import os
import pwd
import secrets
import shutil
import signal
import subprocess

import psycopg
from psycopg.rows import dict_row

from process import Ports, Process, wait_until

_SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "autovacuum": "off",
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "150", "shared_buffers": "64MB",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",   # in the data's folder: killed servers leave nothing in /dev/shm
    "log_min_messages": "warning", "wal_level": "minimal", "max_wal_senders": "0", "log_line_prefix": "%m %d %u ",
}

# The installer's part: `offboard migrate` makes the group roles, members with a password are made by whoever installs.
LOGINS = ("logger", "scheduler", "analyst", "edge")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found:
        return found
    folder = "/usr/lib/postgresql"
    for version in sorted(os.listdir(folder), key=float, reverse=True) if os.path.isdir(folder) else []:
        path = os.path.join(folder, version, "bin", name)
        if os.access(path, os.X_OK):
            return path
    raise RuntimeError(f"there is no {name}: run scripts/deps --test")


class PostgresCluster:
    """Running from construction. The server refuses to run as root, so it then runs as the package's user."""

    def __init__(self, directory: str, ports: Ports) -> None:
        self.directory = directory
        self.port = ports.take()
        self.password = secrets.token_hex(12)
        self.passwords = {login: secrets.token_hex(12) for login in LOGINS}
        self._user = "postgres" if os.geteuid() == 0 else None
        self._data = os.path.join(directory, "data")
        self._process: Process | None = None
        self._initialize()
        self.start()

    @classmethod
    def running(cls, directory: str, port: int, password: str, passwords: dict[str, str]) -> "PostgresCluster":
        """A cluster that another process has started, and ends."""
        cluster = cls.__new__(cls)
        cluster.directory, cluster.port, cluster.password, cluster.passwords = directory, port, password, passwords
        cluster._process = None
        return cluster

    def _initialize(self) -> None:
        os.makedirs(self.directory)
        password_file = os.path.join(self.directory, "password")
        with open(password_file, "w", encoding="ascii") as file:
            file.write(self.password)
        if self._user:
            owner = pwd.getpwnam(self._user)
            for path in (self.directory, password_file):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        done = subprocess.run(
            [_program("initdb"), "-D", self._data, "-U", "admin", "-A", "scram-sha-256", "--pwfile", password_file,
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            user=self._user, extra_groups=[] if self._user else None, cwd=self.directory, capture_output=True, text=True,
            timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")
        with open(os.path.join(self._data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in {**_SETTINGS, "port": self.port}.items())

    def start(self) -> None:
        self._process = Process("postgres", [_program("postgres"), "-D", self._data],
                                os.path.join(self.directory, "postgres.log"), cwd=self.directory, user=self._user,
                                death_signal=signal.SIGQUIT)
        wait_until(lambda: self.connect("postgres").close() is None, 30, "PostgreSQL answers")

    def stop(self) -> None:
        """Immediate, with all sessions cut: what a crash of the machine looks like to a client."""
        if self._process:
            self._process.signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def log(self) -> str:
        with open(os.path.join(self.directory, "postgres.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def conninfo(self, database: str, role: str = "admin") -> str:
        password = self.password if role == "admin" else self.passwords[role]
        return f"host=127.0.0.1 port={self.port} dbname={database} user={role} password={password} connect_timeout=5"

    def connect(self, database: str, role: str = "admin") -> psycopg.Connection:
        return psycopg.connect(self.conninfo(database, role), autocommit=True, row_factory=dict_row)

    def create_database(self, name: str) -> "Database":
        """An empty one."""
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy')
        return Database(self, name)

    def create_migrated(self, name: str, build: str) -> "Database":
        """A copy of one that `offboard migrate` of this build has made: the SQL is read once, not for every stack."""
        made = os.path.join(self.directory, "migrated-" + os.path.basename(build))
        with open(made, "a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if not file.read():
                first = self.create_database(os.path.basename(made))
                done = subprocess.run([os.path.join(build, "offboard"), "migrate"], capture_output=True, text=True, timeout=100,
                                      env={**os.environ, "OFFBOARD_POSTGRES_ADMIN": first.conninfo(), "OFFBOARD_CONFIG": os.devnull})
                assert done.returncode == 0, done.stdout + done.stderr
                self._make_logins()
                file.write("done")
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{os.path.basename(made)}" STRATEGY file_copy')
        return Database(self, name)

    def _make_logins(self) -> None:
        """After the first migration, which makes the group roles."""
        with self.connect("postgres") as connection:
            for login in LOGINS:
                if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).rowcount:
                    connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{self.passwords[login]}'"
                                       f" IN ROLE offboard_{login}")


class Database:
    """One database, with a connection of the tests that comes back after the server was away."""

    def __init__(self, cluster: PostgresCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._connection: psycopg.Connection | None = None

    def conninfo(self, role: str = "admin") -> str:
        return self.cluster.conninfo(self.name, role)

    def query(self, sql: str, *parameters) -> list[dict]:
        """Rows as dictionaries; none for a statement that returns none."""
        if self._connection is None or self._connection.closed:
            self._connection = self.cluster.connect(self.name)
        try:
            cursor = self._connection.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            self._connection.close()
            raise

    def one(self, sql: str, *parameters) -> dict:
        rows = self.query(sql, *parameters)
        assert len(rows) == 1, f"{len(rows)} rows instead of one: {sql}"
        return rows[0]

    def value(self, sql: str, *parameters):
        return next(iter(self.one(sql, *parameters).values()))

    def copy(self, name: str) -> "Database":
        """As it is now; nobody else may be connected, but for edges, which connect again."""
        self.close()
        with self.cluster.connect("postgres") as connection:
            connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND usename = 'edge'", [self.name])
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.name}"')
        return Database(self.cluster, name)

    def replace_with(self, other: "Database") -> None:
        """The other one gets this one's name; of both nobody else may be connected."""
        self.close()
        other.close()
        with self.cluster.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE "{self.name}"')
            connection.execute(f'ALTER DATABASE "{other.name}" RENAME TO "{self.name}"')

    def close(self) -> None:
        """The tests' connection; the next query opens another."""
        if self._connection:
            self._connection.close()

    def drop(self) -> None:
        self.close()
        with self.cluster.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')
