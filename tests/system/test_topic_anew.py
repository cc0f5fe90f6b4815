"""A topic that is deleted and made anew while it is read begins with offsets that mean other records: none of them is passed over."""
import pytest
from events import leaver, offboarding_id
from process import wait_until

EARLIER = [f"earlier{number}@example.com" for number in range(12)]
LATER = [f"later{number}@example.com" for number in range(4)]


def taken(stack, email: str) -> str:
    """As HR systems do: what is answered 503, as the topic is not there for a moment, is sent again under the same id."""
    event = {"id": f"event-{email}", "user": {"email": email}}
    return wait_until(lambda: (reply := stack.post("/v1/offboardings", event)).status == 202 and reply, 30, f"{email} is taken").json["id"]


def leave(stack, emails: list[str], send=taken) -> list[str]:
    for email in emails:
        stack.person(email)
    offboardings = [send(stack, email) for email in emails]
    for offboarding in offboardings:
        stack.wait_job(offboarding, "leave-groups", "succeeded", 60)
        stack.wait_job(offboarding, "ticket", "succeeded", 60)
    return offboardings


def test_jobs_of_the_new_topic_run(make_stack):
    stack = make_stack().start()
    leave(stack, EARLIER)
    stack.wait_quiet()
    worker = stack.process("worker")
    stack.topics.make_anew("jobs.scim", "urgent.scim", "jobs.jira", "urgent.jira",
              noticed=lambda: "not available" in worker.log())
    leave(stack, LATER)
    assert not any(stack.account(email)["active"] for email in EARLIER + LATER)


def written(stack, email: str) -> str:
    """As HR systems do that write to Kafka themselves."""
    event = leaver(email)
    stack.publish(event)
    return offboarding_id(event)


@pytest.mark.parametrize("topic, send", [("intake", written), ("received", taken)])
def test_leavers_of_the_new_topic_start(make_stack, topic, send):
    stack = make_stack().start()
    leave(stack, EARLIER, send)
    stack.wait_quiet()
    stack.topics.make_anew(topic)
    leave(stack, LATER, send)


def test_the_logger_stops_rather_than_to_mix_two_topics(make_stack):
    stack = make_stack().start("producer", "logger")
    for email in EARLIER:
        stack.offboard(email)
    stack.wait_intake(len(EARLIER))
    wait_until(stack.logged, 30, "all is recorded")
    logger = stack.process("logger")
    stack.topics.make_anew("events", noticed=lambda: "not available" in logger.log())
    for email in LATER:
        stack.offboard(email)
    wait_until(lambda: not logger.running, 60, "the logger ends")
    stack.processes.remove(logger)  # it was to end so
    assert logger.status == 1 and "the topic was made anew" in logger.log().splitlines()[-1]
