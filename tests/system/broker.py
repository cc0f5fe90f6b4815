"""A Kafka broker for the tests: one node in KRaft mode, on ports of its own, in a folder of its own."""

import base64
import os
import shutil
import subprocess
import uuid

from confluent_kafka.admin import AdminClient

from process import Ports, Process, tail, wait_until

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={directory}/data
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.bytes=16777216
log.index.size.max.bytes=65536
log.cleaner.enable=true
num.network.threads=2
num.io.threads=4
"""

_LOG4J = """\
Configuration:
  status: error
  Appenders:
    Console:
      name: console
      PatternLayout:
        pattern: "%d %p %m (%c)%n"
  Loggers:
    Root:
      level: warn
      AppenderRef:
        ref: console
"""


class Broker:
    """Running from construction; `stop` ends it and leaves its folder to the owner."""

    def __init__(self, directory: str, libs: str, ports: Ports) -> None:
        self.directory = directory
        self._classpath = os.path.join(libs, "*")
        if not os.path.isdir(libs):
            raise RuntimeError(f"there are no Kafka jars in {libs!r}: run the tests by scripts/system-tests")
        if not shutil.which("java"):
            raise RuntimeError("there is no java: run scripts/deps --test")
        os.makedirs(directory, exist_ok=True)
        port = ports.take()
        self.address = f"127.0.0.1:{port}"
        self._properties = os.path.join(directory, "server.properties")
        with open(self._properties, "w", encoding="utf-8") as file:
            file.write(_PROPERTIES.format(port=port, controller=ports.take(), directory=directory) + self._more(port, ports))
        with open(os.path.join(directory, "log4j2.yaml"), "w", encoding="utf-8") as file:
            file.write(_LOG4J)
        self._format()
        self.start()

    def _more(self, port: int, ports: Ports) -> str:
        """Further properties; of two lines with one name the latter counts."""
        return ""

    def _java(self, program: str, *arguments: str) -> list[str]:
        return ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dlog4j2.configurationFile={self.directory}/log4j2.yaml", "-cp", self._classpath, program, *arguments]

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", self._properties),
                              capture_output=True, text=True, timeout=60, cwd=self.directory)
        if done.returncode != 0:
            raise RuntimeError(f"could not format Kafka's folder: {done.stdout}{done.stderr}")

    def wait_ready(self) -> None:
        def answers() -> bool:
            if not self._process.running:
                raise RuntimeError(f"Kafka ended: {tail(self._process.log())}")
            return bool(AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=2).brokers)

        wait_until(answers, 60, "Kafka answers")

    def start(self) -> None:
        self._process = Process("kafka", self._java("kafka.Kafka", self._properties),
                                os.path.join(self.directory, "kafka.log"), cwd=self.directory)

    def kill(self) -> None:
        self._process.kill()

    def freeze(self) -> None:
        self._process.freeze()

    def thaw(self) -> None:
        self._process.thaw()

    def stop(self) -> None:
        # Its data is thrown away: there is no reason to wait for an orderly end.
        self._process.kill()


class SecuredBroker(Broker):
    """One with a second address, where each principal has a password and only the rights that it is given. At the first address the tests
    may do everything."""

    def __init__(self, directory: str, libs: str, ports: Ports, principals: tuple[str, ...]) -> None:
        self._passwords = {principal: uuid.uuid4().hex for principal in principals}
        self.secured = f"127.0.0.1:{ports.take()}"
        super().__init__(directory, libs, ports)

    def _more(self, port: int, ports: Ports) -> str:
        users = " ".join(f'user_{principal}="{password}"' for principal, password in self._passwords.items())
        listeners = f"CLIENT://127.0.0.1:{port},SECURED://{self.secured}"
        controller = f"CONTROLLER://127.0.0.1:{ports.take()}"
        return f"""\
listeners={listeners},{controller}
controller.quorum.voters=1@{controller.removeprefix("CONTROLLER://")}
advertised.listeners={listeners}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_PLAINTEXT
listener.name.secured.sasl.enabled.mechanisms=PLAIN
listener.name.secured.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {users};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""

    def client(self, principal: str) -> dict:
        """Properties of librdkafka for a client that is this principal."""
        return {"bootstrap.servers": self.secured, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
                "sasl.username": principal, "sasl.password": self._passwords[principal]}

    def environment(self, principal: str) -> dict[str, str]:
        """The same for a process of ours."""
        properties = [f"{name}={value}" for name, value in self.client(principal).items() if name != "bootstrap.servers"]
        return {"OFFBOARD_KAFKA_BROKERS": self.secured, "OFFBOARD_KAFKA_PROPERTIES": ",".join(properties)}
