"""What goes wrong in a storm. Each trouble begins, lasts, and ends by itself; what follows has to be put right by nobody."""

import contextlib
import os
import random
import shutil
import subprocess

import psycopg

import postgres
from postgres import PostgresCluster
from process import wait_until
from tls_proxy import TlsProxy

SKEW_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "skewed_clock.c")


class PostgresPair(PostgresCluster):
    """A primary with a standby that confirms every commit, until `failover` makes the standby the primary of a pair without one. Where
    clients look for it are both addresses."""

    def __init__(self, directory: str, ports) -> None:
        self._standby_port = ports.take()
        super().__init__(directory, ports)
        self._first_port = self.port
        self._standby: PostgresCluster | None = None

    def _initialize(self) -> None:
        super()._initialize()
        with open(os.path.join(self._data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write("wal_level = 'replica'\nmax_wal_senders = '4'\nmax_connections = '60'\nmax_wal_size = '96MB'\nmin_wal_size = '32MB'\n")
        with open(os.path.join(self._data, "pg_hba.conf"), "a", encoding="ascii") as file:
            file.write("host replication all 127.0.0.1/32 scram-sha-256\n")

    def attach_standby(self) -> None:
        data = os.path.join(self.directory, f"standby-{os.urandom(3).hex()}")
        done = subprocess.run(
            [postgres._program("pg_basebackup"), "-D", data, "-R", "-c", "fast", "--no-sync", "-d",
             f"host=127.0.0.1 port={self.port} user=admin password={self.password} application_name=standby"],
            user=self._user, extra_groups=[] if self._user else None, cwd=self.directory, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        other = self._standby_port if self.port == self._first_port else self._first_port
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"port = '{other}'\n")
        standby = PostgresCluster.running(self.directory, other, self.password, self.passwords)
        standby._user, standby._data = self._user, data
        standby.start()
        with self.connect("postgres") as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: connection.execute("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'").rowcount == 1, 30,
                       "the standby confirms commits")
        self._standby = standby

    def failover(self) -> None:
        standby = self._standby
        assert standby
        super().stop()
        with open(os.path.join(standby._data, "postgresql.auto.conf"), "a", encoding="ascii") as file:
            file.write("synchronous_standby_names = ''\n")
        with standby.connect("postgres") as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("SELECT pg_promote()")
        self._process, self._data, self.port, self._standby = standby._process, standby._data, standby.port, None

    def stop(self) -> None:
        super().stop()
        if self._standby:
            self._standby.stop()
            self._standby = None

    def stop_primary(self) -> None:
        super().stop()

    def primary(self, database: str, role: str) -> str:
        return super().conninfo(database, role)

    def conninfo(self, database: str, role: str = "admin") -> str:
        one = self.primary(database, role)
        if role == "admin":
            return one
        return one.replace("host=127.0.0.1", "host=127.0.0.1,127.0.0.1").replace(
            f"port={self.port}", f"port={self._first_port},{self._standby_port}") + " target_session_attrs=read-write"

    @contextlib.contextmanager
    def small_disk_for_wal(self):
        """While nothing runs: its log moves to a disk with little room, and back. A file there for the caller to grow."""
        wal, disk = os.path.join(self._data, "pg_wal"), os.path.join(self.directory, "small")
        os.makedirs(disk, exist_ok=True)
        size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(wal) for name in names)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + 80 * 1048576}", "tmpfs", disk], check=True)
        try:
            filler = os.path.join(disk, "filler")
            with open(filler, "wb"):
                pass
            shutil.move(wal, os.path.join(disk, "wal"))
            os.symlink(os.path.join(disk, "wal"), wal)
            subprocess.run(["chown", "-R", self._user, disk], check=True)
            yield filler
        finally:
            self.stop_primary()
            if os.path.islink(wal):
                os.remove(wal)
                shutil.copytree(os.path.join(disk, "wal"), wal)
                subprocess.run(["chown", "-R", self._user, wal], check=True)
            subprocess.run(["umount", disk], check=True)

    def cut_sessions(self, database: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", [database])


class Weather:
    """The troubles of one storm over `chaos.stack`. A method whose name begins with `trouble_` is one."""

    def __init__(self, chaos, broker, cluster: PostgresPair, proxy: TlsProxy) -> None:
        self.chaos, self.stack, self.broker, self.cluster, self.proxy = chaos, chaos.stack, broker, cluster, proxy
        self.random: random.Random = chaos.random
        self._backup: str | None = None

    @classmethod
    def names(cls) -> list[str]:
        names = sorted(name.removeprefix("trouble_") for name in dir(cls) if name.startswith("trouble_"))
        return [name for name in names if name != "postgres_disk_full" or os.geteuid() == 0]

    def strike(self, name: str) -> None:
        getattr(self, f"trouble_{name}")()

    def last(self, least: float, most: float) -> None:
        self.chaos.let_pass(self.random.uniform(least, most))

    def keep_backup(self) -> None:
        self._backup = os.path.join(self.stack.directory, "backup.dump")
        subprocess.run([postgres._program("pg_dump"), "-Fc", "-f", self._backup, "-d", self.stack.database.conninfo()], check=True, timeout=60)

    # Processes.

    def trouble_kill(self) -> None:
        self.chaos.kill(self.random.choice(list(self.chaos.names)))

    def trouble_kill_all(self) -> None:
        with self._dead(list(self.chaos.names)):
            pass

    @contextlib.contextmanager
    def _dead(self, roles: list[str]):
        for role in roles:
            self.stack.process(self.chaos.names[role]).kill()
        yield
        for role in roles:
            self.chaos.revive(role)

    def trouble_reassignment(self) -> None:
        """Workers come and go: partitions change hands again and again."""
        for _ in range(3):
            extra = self.stack.launch("worker")
            self.stack.wait_ready(extra)
            self.last(0.1, 0.6)
            assert extra.stop(30) == 0

    def trouble_two_loggers(self) -> None:
        extra = self.stack.launch("logger")
        self.last(0.5, 2)
        self.chaos.kill("logger")
        self.last(0.5, 1)
        extra.stop(30)

    def trouble_wrong_clock(self) -> None:
        """One process comes back with a clock that is wrong by up to an hour."""
        library = os.path.join(self.stack.directory, "skewed_clock.so")
        if not os.path.exists(library):
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SKEW_SOURCE], check=True, timeout=60)
        role = self.random.choice(["producer", "worker", "logger"])
        self.chaos.kill(role, LD_PRELOAD=library, SKEW_S=str(self.random.choice([-3600, -90, 90, 3600])))
        self.last(1, 2)
        self.chaos.kill(role)

    def trouble_no_worker(self) -> None:
        """Nobody works for longer than the scheduler waits before it looks for lost jobs."""
        with self._dead([role for role in self.chaos.names if role.startswith("worker")]):
            self.last(3, 4)

    # Kafka.

    def trouble_broker_killed(self) -> None:
        self.broker.kill()
        self.last(0.2, 1)
        self.broker.start()

    def trouble_broker_paused(self) -> None:
        self.broker.freeze()
        self.last(1, 5)
        self.broker.thaw()

    # PostgreSQL.

    def trouble_postgres_killed(self) -> None:
        self.cluster.stop_primary()
        self.last(0.2, 2)
        self.cluster.start()

    def trouble_postgres_failover(self) -> None:
        self.cluster.attach_standby()
        self.last(0.2, 1)
        self.cluster.failover()

    def trouble_postgres_read_only(self) -> None:
        with self.cluster.connect("postgres") as connection:
            connection.execute(f'ALTER DATABASE "{self.stack.prefix}" SET default_transaction_read_only = on')
            self.cluster.cut_sessions(self.stack.prefix)
            self.last(1, 3)
            connection.execute(f'ALTER DATABASE "{self.stack.prefix}" RESET default_transaction_read_only')
        # Sessions that began while it was read-only stay so: it is for the processes to notice.

    def trouble_postgres_no_connections(self) -> None:
        held = []
        with self.cluster.connect("postgres") as connection:
            self.cluster.cut_sessions(self.stack.prefix)
            try:
                while True:
                    held.append(psycopg.connect(self.cluster.primary("postgres", "logger")))
            except psycopg.OperationalError:
                pass
            assert held and connection
        self.last(1, 3)
        for one in held:
            one.close()

    def trouble_postgres_disk_full(self) -> None:
        """The log can't grow: PostgreSQL ends itself, until there is room again. Needs root, for a small disk of its own."""
        self.cluster.stop_primary()
        with self.cluster.small_disk_for_wal() as filler:
            self.cluster.start()
            with open(filler, "wb") as file:
                try:
                    while True:
                        file.write(b"x" * 65536)
                        file.flush()
                except OSError:
                    pass
            wait_until(self._no_room, 30, "PostgreSQL has no room for its log", interval=0.1)
            self.last(0.5, 1.5)
            os.truncate(filler, 0)
        self.cluster.start()

    def _no_room(self) -> bool:
        try:
            with self.cluster.connect("postgres") as connection:
                connection.execute("SELECT count(pg_logical_emit_message(false, 'filler', repeat('x', 1000000))) FROM generate_series(1, 200)")
                return False
        except psycopg.OperationalError:
            return True

    def trouble_backup_restored(self) -> None:
        """As the guide says: logger and scheduler rest while an older database takes the place of the one that was lost."""
        assert self._backup
        for role in ("logger", "scheduler"):
            self.stack.process(self.chaos.names[role]).stop(30)
        database = self.stack.prefix
        with self.cluster.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{database}"')
        subprocess.run([postgres._program("pg_restore"), "-d", self.stack.database.conninfo(), self._backup], check=True, timeout=60)
        for role in ("logger", "scheduler"):
            self.chaos.revive(role, ready=False)

    # The vendor.

    def trouble_vendor_tls(self) -> None:
        self.proxy.trouble = self.random.choice(TlsProxy.TROUBLES)
        self.last(1, 3)
        self.proxy.trouble = None
