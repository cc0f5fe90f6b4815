"""Kafka as the tests use it: put records on topics, and read topics from their beginning."""

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass

import sealing
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, NewTopic
from process import wait_until


DIGESTS = "00000000-0000-0000-0000-000000000000"  # the id of the key with which people are found


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None
    value: bytes | None
    headers: dict[str, str]

    sealed: bytes | None = None  # the value as Kafka has it, when it is sealed; `value` is then what it says, None when its key is gone
    opened: bool = False

    @property
    def json(self):
        return json.loads(self.value)


class Topics:
    """The topics of one prefix. `kind` is the name without it: intake, received, events, jobs.scim, …"""

    def __init__(self, brokers: str, prefix: str) -> None:
        self.brokers = brokers
        self.prefix = prefix
        self._readers: dict[str, _Reader] = {}
        self._producers: dict[str, Producer] = {}

    def name(self, kind: str) -> str:
        return f"{self.prefix}.{kind}"

    def publish(self, kind: str, value: bytes | str | dict | None, key: str | None = None, *, headers: dict | None = None,
                partition: int | None = None, partitioner: str = "murmur2_random") -> tuple[int, int]:
        """Put one record on a topic; its partition and offset, once Kafka has it. An object about an offboarding is sealed, as our programs do it."""
        if isinstance(value, dict):
            value = self._sealed(kind, [(key, value)])[0][1]
        placed = []

        def delivered(error, message) -> None:
            assert error is None, f"could not publish to {kind}: {error}"
            placed.append((message.partition(), message.offset()))

        where = {} if partition is None else {"partition": partition}
        producer = self._producer(partitioner)
        producer.produce(self.name(kind), value, key, headers=headers, on_delivery=delivered, **where)
        assert producer.flush(20) == 0 and placed, f"Kafka did not take a record for {kind}"
        return placed[0]

    def publish_many(self, kind: str, records: list[tuple[str, dict]]) -> None:
        """(key, value) pairs, as fast as it goes."""
        failed = []
        sealed = self._sealed(kind, records)
        producer = self._producer("murmur2_random")
        for key, value in sealed:
            producer.produce(self.name(kind), value, key,
                             on_delivery=lambda error, _: error and failed.append(error))
        assert producer.flush(30) == 0 and not failed, f"Kafka did not take all records: {failed[:1]}"

    def _sealed(self, kind: str, records: list[tuple[str | None, dict]]) -> list[tuple[str | None, bytes]]:
        """(key, value) as they go to Kafka. An offboarding that has no key gets one first, as from the planner; so does the key of digests."""
        texts = [(key, json.dumps(value).encode()) for key, value in records]
        ids = {key.lower() for key, value in records if _is_sealed(kind, key, value)}
        keys = self.keys() if ids else {}
        for id in (ids | {DIGESTS} if ids else ids) - keys.keys():
            keys[id] = os.urandom(32)
            self._producer("murmur2_random").produce(self.name("keys"), sealing.key_record(keys[id]), id)
        assert self._producer("murmur2_random").flush(30) == 0, "Kafka did not take all keys"
        return [(key, sealing.seal(keys[key.lower()], key, text) if _is_sealed(kind, key, value) else text)
                for (key, text), (_, value) in zip(texts, records, strict=True)]

    def kcat(self, kind: str, value: str, key: str, *headers: str) -> None:
        """The same with kcat, which places keys by CRC32 unless told otherwise."""
        arguments = ["kcat", "-b", self.brokers, "-P", "-t", self.name(kind), "-k", key]
        for header in headers:
            arguments += ["-H", header]
        subprocess.run(arguments, input=value.encode(), check=True, timeout=30, capture_output=True)

    def forget_producers(self) -> None:
        """New ones learn at once how many partitions there are."""
        self._producers.clear()

    def read(self, kind: str) -> list[Record]:
        """All records, in the order of partitions and offsets."""
        records = self.read_raw(kind)
        shut = [record for record in records if record.sealed and not record.opened]
        keys = self.keys() if shut else {}
        for record in shut:
            key = keys.get(record.key.lower())
            record.opened = key is not None
            record.value = sealing.unseal(key, record.key, record.sealed) if key else None
        return records

    def read_raw(self, kind: str) -> list[Record]:
        """The same, sealed values as they are; of records that `read` gave before, what they say."""
        if kind not in self._readers:
            self._readers[kind] = _Reader(self.brokers, self.name(kind))
        return self._readers[kind].read()

    def keys(self) -> dict[str, bytes]:
        """The keys of offboardings, by id: the first of each counts until its tombstone."""
        found = {}
        for record in self.read_raw("keys") if "keys" in self.names() else []:
            if record.value is None:
                found.pop(record.key, None)
            else:
                found.setdefault(record.key, sealing.key_of(record.value))
        return found

    def logged(self) -> list[str]:
        """The topics that the logger reads."""
        return ["events", "orders", "control", *sorted(kind for kind in self.names() if kind.startswith("results."))]

    @staticmethod
    def home_of(event: dict) -> str:
        """The topic that the event's writer writes."""
        if event["name"].startswith("job.") and event["name"] != "job.lost":
            return f"results.{event['context']['system']}"
        return "orders" if event["name"].startswith("order.") or event["name"] == "signal" else "events"

    def publish_events(self, records: list[tuple[str, dict]]) -> None:
        """(key, event) pairs, each on the topic of its writer."""
        for home in sorted({self.home_of(event) for _, event in records}):
            self.publish_many(home, [(key, event) for key, event in records if self.home_of(event) == home])

    def events(self, name: str | None = None, offboarding: str | None = None) -> list[dict]:
        """What the logger reads but orders to workers: events, orders and the workers' answers; those of a name and of an offboarding if
        asked for, in the order of their times."""
        records = [record for kind in self.logged() if kind != "control" for record in self.read(kind)]
        events = sorted((record.json for record in records), key=lambda event: event["timestamp"])
        return [event for event in events if name in (None, event["name"])
                and offboarding in (None, event["context"].get("offboarding_id"))]

    def lag(self, group: str, *kinds: str) -> int:
        """Records that a consumer group has not committed yet."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"{self.prefix}.{group}", "log_level": 0})
        try:
            partitions = [TopicPartition(self.name(kind), number) for kind in kinds
                          for number in consumer.list_topics(self.name(kind), 10).topics[self.name(kind)].partitions]
            behind = 0
            for partition in consumer.committed(partitions, 10):
                low, high = consumer.get_watermark_offsets(partition, 10)
                behind += high - max(partition.offset, low)
            return behind
        finally:
            consumer.close()

    def forget_group(self, group: str) -> None:
        """What Kafka does with a group that has had no member for offsets.retention.minutes."""
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})

        def forgotten() -> bool:
            try:
                admin.delete_consumer_groups([f"{self.prefix}.{group}"])[f"{self.prefix}.{group}"].result(20)
            except KafkaException:  # its last member has not left yet
                return False
            return True

        wait_until(forgotten, 30, f"the group {group} is forgotten")

    def names(self) -> list[str]:
        """Existing topics of this prefix, without it."""
        found = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0}).list_topics(timeout=10).topics
        return sorted(name[len(self.prefix) + 1:] for name in found if name.startswith(self.prefix + "."))

    def settings(self) -> dict[str, tuple]:
        """Of each topic: its partitions, and what was set for it alone."""
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        asked = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, self.name(kind)) for kind in self.names()])
        return {resource.name.removeprefix(f"{self.prefix}."): (
            self.partitions(resource.name.removeprefix(f"{self.prefix}.")),
            {entry.name: entry.value for entry in answer.result(20).values()
             if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value}) for resource, answer in asked.items()}

    def partitions(self, kind: str) -> int:
        found = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0}).list_topics(self.name(kind), timeout=10)
        return len(found.topics[self.name(kind)].partitions)

    def make_anew(self, *kinds: str, noticed=lambda: True) -> None:
        """Deletes topics, waits until that is `noticed`, and creates them again, empty."""
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        names = [self.name(kind) for kind in kinds]
        for future in admin.delete_topics(names).values():
            future.result(20)
        wait_until(noticed, 30, "it is noticed that the topic is gone")

        def made(name: str) -> bool:
            try:
                admin.create_topics([NewTopic(name, 3, 1)])[name].result(20)
            except KafkaException:  # it is still being deleted
                return False
            return True

        for name in names:
            wait_until(lambda name=name: made(name), 30, f"{name} is made anew")
        for kind in kinds:
            if kind in self._readers:
                self._readers.pop(kind).close()
        self.forget_producers()

    def create(self, systems: list[str], partitions: int) -> None:
        """As `offboard topics` makes them, which takes a second of the processor to read all definitions first. None for polled events."""
        def topic(kind: str, days: int | None, *, compact: bool = False, brokers_time: bool = False, forgets: bool = False) -> NewTopic:
            config = {"cleanup.policy": "compact", "segment.bytes": "67108864"} if compact else {
                "cleanup.policy": "delete", "retention.ms": str(days * 86400000) if days else "-1"}
            if brokers_time:
                config["message.timestamp.type"] = "LogAppendTime"
            if forgets:
                config |= {"segment.ms": "86400000", "max.compaction.lag.ms": "86400000", "delete.retention.ms": "86400000",
                           "min.cleanable.dirty.ratio": "0.01"}
            return NewTopic(self.name(kind), 1 if compact else partitions, 1, config=config)

        wanted = [topic("intake", 400, brokers_time=True), topic("received", 400, brokers_time=True), topic("events", None),
                  topic("orders", None), topic("dead", 400), topic("control", None, compact=True, brokers_time=True),
                  topic("roster", None, compact=True, brokers_time=True),
                  topic("keys", None, compact=True, brokers_time=True, forgets=True)]
        for system in systems:
            wanted += [topic(f"jobs.{system}", 90), topic(f"urgent.{system}", 90), topic(f"results.{system}", None)]
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        for made in admin.create_topics(wanted, request_timeout=30).values():
            made.result(40)

    def delete(self) -> None:
        """Topics of a finished test only burden the broker. It has to answer: a client that goes at once takes its request along."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        names = [self.name(kind) for kind in self.names()]
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        for deleted in (admin.delete_topics(names, request_timeout=20) if names else {}).values():
            with contextlib.suppress(KafkaException):   # a broker that a test has ended; or it is gone already
                deleted.result(30)

    def _producer(self, partitioner: str) -> Producer:
        if partitioner not in self._producers:
            self._producers[partitioner] = Producer({"bootstrap.servers": self.brokers, "partitioner": partitioner,
                                                     "linger.ms": 1, "acks": "all", "message.max.bytes": 3_000_000,
                                                     "log_level": 0})
        return self._producers[partitioner]


class _Reader:
    """One topic from its beginning; each `read` goes on where the last one ended and returns everything so far."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "tests-read-without-committing",
                                   "enable.auto.commit": False, "fetch.wait.max.ms": 20, "log_level": 0})
        numbers = self._consumer.list_topics(topic, 10).topics[topic].partitions
        self._next = {number: 0 for number in numbers}
        self._topic = topic
        self._records: list[Record] = []
        self._consumer.assign([TopicPartition(topic, number, 0) for number in numbers])

    def read(self) -> list[Record]:
        ends = wait_until(self._ends, 20, f"a broker leads all partitions of {self._topic}")
        idle = 0
        while any(self._next[number] < end for number, end in ends.items()):
            message = self._consumer.poll(0.2)
            if message is None:
                idle += 1
                assert idle < 50, f"{self._topic} can't be read to its end: at {self._next} of {ends}"
                # A compacted topic's end may lie beyond its last record: the position tells.
                for position in self._consumer.position([TopicPartition(self._topic, number) for number in self._next]):
                    self._next[position.partition] = max(self._next[position.partition], position.offset)
                continue
            assert message.error() is None, f"{self._topic}: {message.error()}"
            self._next[message.partition()] = message.offset() + 1
            self._records.append(_record(message))
        return sorted(self._records, key=lambda record: (record.partition, record.offset))

    def _ends(self) -> dict[int, int] | None:
        try:
            return {number: self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), 10)[1] for number in self._next}
        except KafkaException:  # a topic that has just been made
            return None

    def close(self) -> None:
        self._consumer.close()


def _record(message) -> Record:
    key = message.key()
    headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or []}
    return Record(message.topic(), message.partition(), message.offset(), message.timestamp()[1],
                  key.decode(errors="replace") if key is not None else None, message.value(), headers,
                  message.value() if sealing.is_sealed(message.value()) else None)


def _is_sealed(kind: str, key: str | None, value: dict) -> bool:
    """Does a program of ours seal such a record?"""
    about = value.get("id") if kind.startswith(("jobs.", "urgent.")) else (value.get("context") or {}).get("offboarding_id")
    return kind.partition(".")[0] in ("jobs", "urgent", "events", "orders", "results") and key is not None and about == key


def murmur2_partition(key: str, partitions: int) -> int:
    """Where Java's default partitioner, and ours, puts a key."""
    data = key.encode()
    length = len(data)
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ length
    for at in range(0, length - length % 4, 4):
        part = int.from_bytes(data[at:at + 4], "little") * factor & mask
        part = (part ^ part >> 24) * factor & mask
        value = value * factor & mask ^ part
    rest = data[length - length % 4:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return ((value ^ value >> 15) & 0x7FFFFFFF) % partitions
