"""A consumer whose place in its group another one has taken never reads or commits again: its process ends, and says why."""
import json

import pytest
from process import wait_until

PROPERTIES = ["session.timeout.ms=6000", "heartbeat.interval.ms=400", "group.instance.id=one-place"]


@pytest.mark.parametrize("program", ["worker", "logger", "producer"])
def test_the_process_ends_and_says_why(make_stack, program):
    stack = make_stack(settings={"kafka": {"properties": PROPERTIES}})
    both = [stack.launch(program)]
    stack.wait_ready(both[0])
    both.append(stack.launch(program))
    # A process may be ready before the group has it: whoever joined first has to go.
    ended = wait_until(lambda: next((process for process in both if not process.running), None), 30, "one of them ends")
    stack.processes.remove(ended)  # it was to end so
    both.remove(ended)
    assert ended.status == 1
    last = json.loads([line for line in ended.log().splitlines() if '"error"' in line][-1])
    assert last["level"] == "error" and "fenced" in last["error"], last
    stack.wait_ready(both[0])
