"""A rolling restart of every Deployment under load, as the chart does it: a new process is started, and when it is ready an old one
gets SIGTERM and its grace. Nothing is lost, nothing done twice; the oracle of the chaos tests judges."""

import random
import threading

import pytest
from chaos import DAY, Chaos
from process import wait_until

PARTITIONS = 12     # as `offboard topics` makes them
PEOPLE = 36
GRACE_S = 30    # the chart's terminationGracePeriodSeconds for the drain below
FLEET = ("producer", "worker", "worker", "logger", "logger", "scheduler", "scheduler")


class Rollout(Chaos):
    """Leavers come by HTTP all the while; the vendors take their time, so that every worker has calls under way when it ends."""

    def run(self) -> None:
        self._prepare_vendors()
        self.stack.start(*FLEET)
        self.names = [process.name for process in self.stack.processes]
        self.refused: list = []
        self.workers_replaced = threading.Event()
        client = threading.Thread(target=self._post_all)
        client.start()
        for name in list(self.names):
            self._replace(name)
            if name == "worker-2":
                self.workers_replaced.set()
        client.join()
        assert self.refused == [], "with one producer ready at any time every event is taken at once"

    def _prepare_vendors(self) -> None:
        sandbox = self.stack.sandbox
        people = [event["data"]["user"] for event in self.events]
        sandbox.seed("scim", {"users": [{"userName": user["email"], "externalId": user["employee_id"]} for user in people],
                              "groups": [{"displayName": "Staff", "members": self.emails}]})
        sandbox.settings("jira", search_lag=0.4)
        slow = {"do": "slow_after", "seconds": 0.3, "times": None}
        sandbox.fault("jira", {"match": {"method": "POST", "path": "/(issue|comment)$"}, **slow})
        sandbox.fault("scim", {"match": {"method": "PATCH"}, **slow})

    def _post_all(self) -> None:
        """A load that goes on: the next leaver a moment after the last one was taken. A third come when the new workers are there."""
        for number, event in enumerate(self.events):
            if number == PEOPLE * 2 // 3:
                self.workers_replaced.wait(90)
            reply = self.stack.post("/v1/offboardings", event, headers={"Content-Type": "application/cloudevents+json"})
            if reply.status != 202:
                self.refused.append(reply)
            self.let_pass(self.random.uniform(0.05, 0.3))

    def _replace(self, name: str) -> None:
        old = self.stack.process(name)
        if name.startswith("worker"):
            wait_until(lambda: '"job ended"' in old.log(), 60, f"{name} has its part of the load")
        new = self.stack.launch(name.split("-")[0])
        self.stack.wait_ready(new)
        if name.startswith("producer"):
            self.stack.edge_url = self.stack.edge(new.name)  # a Service leaves out who is ending
        old.terminate()
        assert old.wait(GRACE_S) == 0, f"{name} did not end in good order"


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled(make_stack):
    stack = make_stack(settings={"clock": {"day": DAY}, "worker": {"drain_grace": "25s", "in_flight": 5}})
    rollout = Rollout(stack, random.Random(7).randrange(1 << 16), PEOPLE)
    rollout.run()
    rollout.check()
    wait_until(lambda: sum(process.running for process in stack.processes) == len(FLEET), 5, "as many run as before")
    workers = [process for process in stack.processes if process.name.startswith("worker")]
    assert len(workers) == 4 and all('"job ended"' in worker.log() for worker in workers), "each of them had its part of the load"
