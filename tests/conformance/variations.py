"""What is tried with an action: its good runs, with one thing changed at a time, and what may never come of it."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from connector import Connector, asks_for_one, changes, paths, pieces, reads
from plans import Plan
from runs import Good
from solve import PARTS, Question, Want, account_id, leaves
from vendor import Answer, decoded
from world import USER, Call, NoAnswer, World

GOOD = ("succeeded", "already_done")
GONE = ("missing", "skipped")
READS = ("identify", "confirm", "read", "require", "find", "verify", "meanwhile")
ERROR = {"error": {"code": "of_the_test", "message": "refused by the test"}}
REFUSALS = {"http": [Answer(400, ERROR), Answer(403, ERROR), Answer(422, ERROR)],
            "smtp": [Answer(550, "5.7.1 refused by the test")],
            "ldap": [Answer(53, "refused by the test"), Answer(50, "refused by the test")]}
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
ODD = {"http": {"200 empty": Answer(200), "200 []": Answer(200, []), "200 {}": Answer(200, {}), "200 error": Answer(200, ERROR),
                "200 page": Answer(200, PAGE, {"Content-Type": "text/html"}), "401": Answer(401, ERROR), "403": Answer(403, ERROR),
                "429": Answer(429, ERROR, {"Retry-After": "1"}), "500": Answer(500, ERROR)},
       "smtp": {},
       "ldap": {"busy": Answer(51, "busy"), "no rights": Answer(50, "no rights"), "lost": Answer(lost=True)}}
# How vendors say that there is another page, beside a list or in a header.
OTHERS = [{"has_more": True}, {"paging": {"next": {"after": "33"}}}, {"isLast": False}, {"nextPage": 2}, {"next": "https://vendor.example/x?page=2"},
          {"links": [{"rel": "next", "href": "/x?page=2"}]}, {"pageInfo": {"hasNextPage": True}}, {"meta": {"next": "/x?page=2"}},
          {"IsTruncated": True, "NextToken": "x"}, {"@odata.nextLink": "https://vendor.example/x?page=2"}]
NEXT = {"Link": "</x?page=2>; rel=\"next\""}
EXPIRED = (400, 404, 410)      # what vendors say of a link or a cursor that has expired
LATER = {"http": Answer(429, ERROR, {"Retry-After": "3600"}), "smtp": Answer(451, "later"), "ldap": Answer(51, "busy")}
ID = re.compile("(^|_)id$|I[dD]$|^Guid$")      # what members with an id are called
STRANGER = {USER["email"]: "mallory@example.net", USER["employee_id"]: "90210"}


@dataclass
class Finding:
    """What came of a case, and what was expected of it."""
    said: dict
    calls: list[Call]
    expected: str
    why: str

    def __str__(self) -> str:
        lines = [f"  {'' if call.usual else '* '}{call.question} -> {call.answer}" for call in self.calls]
        return "\n".join([f"{self.why}", f"outcome:  {self.said['outcome']}: {self.said['message']}", f"expected: {self.expected}",
                          "what was asked and answered (* by the test):", *lines])


@dataclass
class Case:
    name: str
    go: Callable[[], Finding | None]

    @property
    def family(self) -> str:
        return next(family for family, begin in FAMILIES.items() if self.name.startswith(begin))


FAMILIES = {"refusals": "refused", "lost_answers": "lost answer", "odd_answers": "odd", "others": "another", "numbers": "number", "pages": "page two",
            "strangers": "stranger", "two_accounts": "two accounts", "dry_run": "dry run"}


def families(connector: Connector, action: str) -> list[str]:
    """Those that an action has cases of, as far as its file tells."""
    requests = connector.requests(action)
    mine = connector.of_accounts(action) and not connector.undoes(action)
    reads = [*(request for request in requests if not changes(request)), *connector.looks(action),
             *(piece for request in requests for piece in pieces(request)[1:] if not changes(piece)),
             *(connector.searches() if mine else [])]
    changing = any(changes(request) for request in requests)
    there = {"refusals": changing, "lost_answers": changing, "odd_answers": reads and connector.kind() != "smtp",
             "others": any(shows_one(request) for request in reads if request not in connector.searches()
                           and (changing or "for_each" not in request)),
             "numbers": mine and connector.kind() == "http",
             "pages": any(has_pages(request) for request in [*reads, *connector.looks(action)])
                      or connector.kind() == "http" and any(reads_one_page(look) for look in connector.looks(action)),
             "strangers": mine, "two_accounts": changing and connector.of_accounts(action), "dry_run": True}
    return [family for family in FAMILIES if there[family]]


def shows_one(request: dict) -> bool:
    """It asks for one thing by its name, and does not know it by the job's id, which no other thing has."""
    return asks_for_one(request) is not None and not reads(request.get("expect"), "job")


def has_pages(request: dict) -> bool:
    """More than one: `more: false` says that all comes in one answer."""
    return bool(paths(request.get("pages")))


def reads_one_page(request: dict) -> bool:
    """The body of one answer is all that it looks at."""
    return "pages" not in request and not request.get("text") and reads(request.get("expect", request.get("found")), "body")


def with_others(answer: Answer, number: int) -> Answer:
    """The same with word of another page: in the body where that is an object."""
    body = answer.body
    fitting = [beside for beside in OTHERS if isinstance(body, dict) and not beside.keys() & body.keys()]
    if not fitting:
        return Answer(answer.status, body, {**answer.headers, **NEXT}, account=answer.account)
    return Answer(answer.status, {**body, **fitting[number % len(fitting)]}, answer.headers, account=answer.account)


def cases(plan: Plan) -> Iterator[Case]:
    for number, good in enumerate(plan.good):
        trial = Trial(good)
        for case in trial.cases():
            yield Case(case.name + (f" (run {number + 1})" if number else ""), case.go)


class Trial:
    """The cases of one good run."""

    def __init__(self, good: Good) -> None:
        self.good, self.book, self.bench = good, good.book, good.bench
        self.connector, self.action = good.book.connector, good.book.action
        self.kind = self.connector.kind()
        self.searched = any(call.question.role == "identify" and self.is_leavers(call.question) for call in good.calls)

    def run(self, intervene=None, *, expected: str, attempts: int = 6, job: dict | None = None, changes: dict | None = None,
            anyway=False) -> "Outcome":
        learnt = self.good.changes or {"": {None}}
        world = World(self.book, account=self.good.world.account, changes=learnt if changes is None else changes)
        world.intervene, world.complete_anyway = intervene, anyway
        said = self.bench.run(world, attempts=attempts, **{**self.good.job, **(job or {})})
        return Outcome(self, world, said, expected)

    def places(self, *roles: str) -> list[Question]:
        """The questions of the good run, one for each place and role."""
        found: dict = {}
        for call in self.good.calls:
            if call.question.role in roles:
                found.setdefault((call.question.place, call.question.role), call.question)
        return list(found.values())

    def usual(self, question: Question) -> Answer:
        return next(call.answer for call in self.good.calls if call.question is question)

    def cases(self) -> Iterator[Case]:
        for question in self.places("change"):
            for answer in REFUSALS[self.kind]:
                yield Case(f"refused {question.place} {answer.status}", lambda q=question, a=answer: self.refused(q, a))
            yield Case(f"refused {question.place}, but it is so", lambda q=question: self.refused_but_so(q))
            for done in (True, False):
                yield Case(f"lost answer {question.place} {'done' if done else 'not done'}", lambda q=question, d=done: self.lost(q, d))
        for question in self.places(*READS):
            if question.role == "identify" and not self.searched:
                continue
            for name, answer in self.odds(question).items():
                if not self.is_right(question, name):
                    yield Case(f"odd {title(question)} {name}", lambda q=question, n=name, a=answer: self.odd(q, n, a))
            if question.role not in ("identify", "confirm"):
                yield from self.others(question)
            if question.role == "verify" and "success" in question.request:
                yield from self.no_success(question)
            if has_pages(question.request):
                yield from self.paged(question)
            elif self.kind == "http" and reads_one_page(question.request):
                yield from self.unread(question)
        if self.searched and self.kind == "http" and not self.connector.undoes(self.action):
            yield Case("number", self.numbers)
        if self.searched:
            yield Case("stranger", self.stranger)
            yield Case("stranger with the leaver's address", self.other_number)
        if self.good.changes and self.connector.of_accounts(self.action):
            yield Case("two accounts", self.two_accounts)
        yield Case("dry run", self.dry_run)

    # Refusals.

    def refused(self, question: Question, answer: Answer) -> Finding | None:
        expected = "failed, blocked or denied: the vendor refused it, and the state is not there"
        outcome = self.run(lambda q, n: (answer, False) if same_change(q, question) else None, expected=expected)
        if outcome.said["outcome"] not in ("failed", "blocked", "denied"):
            return outcome.finding(f"{question} was refused")
        return outcome.common()

    def refused_but_so(self, question: Question) -> Finding | None:
        """Somebody else has done it: the read-back shows the state that the refused request should have made."""
        covered = self.connector.covered(self.action, question.index)
        expected = "a read-back that shows it" if covered else "no success: the read-back does not show what this request changes"
        refusal = REFUSALS[self.kind][0]
        outcome = self.run(lambda q, n: (refusal, False) if same_change(q, question) else None, expected=expected, anyway=True)
        if outcome.is_good() and any(call.question.role == "change" and not call.granted for call in outcome.world.calls):
            looked = [call for call in outcome.world.calls if call.question.role == "verify"]
            if not covered or not looked or not (outcome.said.get("verified") or {}).get("ok"):
                return outcome.finding(f"{question} was refused")
        return None

    def lost(self, question: Question, done: bool) -> Finding | None:
        """The vendor closes the connection in place of an answer, once."""
        lost: list = []

        def intervene(q: Question, n: int):
            if same_change(q, question) and not lost:
                lost.append(n)
                return Answer(lost=True), done
            return None

        once = "find" in question.request
        outcome = self.run(intervene, expected="it succeeds in the end" + (", and is looked for before it is sent again" if once else ""),
                           attempts=8)
        sent = [n for n, call in enumerate(outcome.world.calls) if same_change(call.question, question)]
        if not outcome.is_good():
            return outcome.finding(f"the answer to {question} was lost ({'it was done' if done else 'it was not done'})")
        if once and done and len(sent) > 1:
            return outcome.finding(f"{question} was done, and sent again")
        looks = [n for n, call in enumerate(outcome.world.calls) if call.question.role in ("find", "verify")]
        if once and not all(any(first < n < second for n in looks) for first, second in zip(sent, sent[1:])):
            return outcome.finding(f"{question} was sent again without a look")
        return outcome.common()

    # Answers that say nothing.

    def odds(self, question: Question) -> dict[str, Answer]:
        usual = self.usual(question).body
        if self.kind != "ldap" or not usual or not isinstance(usual, list):
            return ODD[self.kind]
        hidden = [{**entry, "attributes": {}} for entry in usual]       # the account that binds may read none of them
        return {**ODD["ldap"], "hidden": Answer(0, hidden)}

    def is_right(self, question: Question, name: str) -> bool:
        """The answer may be a good one: an empty list where lists are what is answered, an empty object where the vendor leaves empty
        lists out, or where only single values are read, anything where the request takes any text; a status alone where nobody looks at more than that."""
        request = question.request
        if name == "hidden" and question.role == "verify" and "attributes" not in str(request["expect"]):
            return True     # where an entry is, its name says
        if name == "200 []" and isinstance(self.usual(question).body, list):
            return True
        if name == "200 {}" and (request.get("omits") or question.role in ("read", "require", "meanwhile")):
            return True
        if request.get("text") and name.startswith("200") and name != "200 page":
            return True
        blind = question.method == "HEAD" or not any(reads(request.get(part), "body") for part in (*PARTS, "require"))
        return name.startswith("200") and name != "200 page" and blind and 200 <= self.usual(question).status < 300

    def odd(self, question: Question, name: str, answer: Answer) -> Finding | None:
        expected = "not missing and not confirmed: the answer says nothing about the account"

        def intervene(q: Question, n: int):
            if same_place(q, question) and not q.further_page:
                return answer, False
            if q.role == question.role == "identify":       # nobody else knows the leaver either
                return self.answer(q, found=False), False
            return None

        no_signal = {"patience": 100} if question.role == "meanwhile" else {}
        outcome = self.run(intervene, expected=expected, job=no_signal)
        if question.role in ("read", "require") and outcome.is_as_usual():
            return None     # nothing depended on it
        return outcome.common() or outcome.unless_open(f"{title(question)} was answered by {answer}")

    # Answers about something else.

    def others(self, question: Question) -> Iterator[Case]:
        """Of the one thing that is asked for; and, of a read-back that asks for the account in another way, about nobody."""
        if question.asked and shows_one(question.request):
            already = question.role in ("read", "require") and "already" in question.request
            for done in (None, True) if already else (None,):
                if self.of_one(question, done):
                    yield Case(f"another {title(question)}{' already' if done else ''}", lambda d=done: self.another(question, d))
        elif question.role == "verify" and question.names_account and self.shows_account(question):
            yield Case(f"another {title(question)}", lambda: self.another(question, None))
            usual = self.usual(question)
            if emptied(usual.body) != usual.body:
                yield Case(f"another {title(question)} nobody", lambda: self.nobody_shown(question))

    def shows_account(self, question: Question) -> bool:
        usual = self.usual(question)
        return usual.status < 300 and not isinstance(usual.body, bytes) and question.account in leaves(usual.body)

    def of_one(self, question: Question, done: bool | None) -> Answer | None:
        """The usual answer, or one that shows that all is done; of a read-back that wants an error, one that shows the opposite."""
        with contextlib.suppress(NoAnswer):
            answer = self.good.world.good(question) if done is None else self.answer(question, done=done)
            best = 0 if self.kind == "ldap" else 299
            if answer.status > best and question.role == "verify":
                answer = self.answer(question, done=False)
            shows = isinstance(answer.body, dict) or self.kind == "ldap" and answer.body
            return answer if answer.status <= best and shows else None
        return None

    def another(self, question: Question, done: bool | None) -> Finding | None:
        """What is answered says in all else what it should."""
        def intervene(q: Question, n: int):
            if not same_place(q, question) or not (answer := self.of_one(q, done) if q.asked else self.usual(question)):
                return None
            return answer.renamed({name: another_name(name, self.kind) for name in names_in(answer, q)}), False

        no_signal = {"patience": 100} if question.role == "meanwhile" else {}
        outcome = self.run(intervene, expected="neither done nor missing, and nothing is changed: the answer is about another one", job=no_signal)
        first = next(n for n, call in enumerate(outcome.world.calls) if not call.usual)
        changed = question.role in ("read", "require") and any(call.question.changes for call in outcome.world.calls[first:])
        why = f"{title(question)} asked for {question.asked or question.account}, and the answer is about another one"
        return outcome.finding(why) if changed else outcome.unless_open(why)

    def nobody_shown(self, question: Question) -> Finding | None:
        """A list in which the account stands shows the state; an empty one shows nothing of it."""
        usual = self.usual(question)
        outcome = self.run(lambda q, n: (Answer(usual.status, emptied(usual.body), usual.headers), False) if same_place(q, question) else None,
                           expected="not confirmed: the read-back shows nobody")
        return outcome.unless_open(f"{title(question)} was answered with an empty list")

    def no_success(self, question: Question) -> Iterator[Case]:
        """The read-back shows what is expected, in an answer that the connector does not call a success: it may be about somebody else."""
        with contextlib.suppress(NoAnswer):
            answer = self.answer(question, done=True, good=False)
            yield Case(f"odd {title(question)} no success", lambda: self.odd(question, "no success", answer))

    # Pages.

    def paged(self, question: Question) -> Iterator[Case]:
        name = title(question)
        if question.role == "identify" and self.is_leavers(question):
            yield Case(f"page two {name}", lambda: self.leaver_on_page_two(question))
        for status in EXPIRED if self.kind == "http" else []:
            yield Case(f"page two {status} {name}", lambda s=status: self.expired_page_two(question, s))
        if question.role == "read" and "already" in question.request:
            yield Case(f"page two nothing {name}", lambda: self.nothing_on_page_two(question))
        if question.role == "verify":
            yield Case(f"page two {name}", lambda: self.undone_on_page_two(question))
        elif not (question.role == "identify" and not self.is_leavers(question)):
            for odd in ("500", "200 empty", "200 page", "200 error"):
                if odd in ODD[self.kind]:
                    yield Case(f"page two odd {name} {odd}", lambda o=odd: self.odd_page_two(question, ODD[self.kind][o], o))

    def is_leavers(self, question: Question) -> bool:
        return self.good.world.is_leaver(question)

    def answer(self, question: Question, **want) -> Answer:
        """One that leads where the case wants it to."""
        return self.book.answer(question, self.good.world.want(question, **want))

    def unread(self, question: Question) -> Iterator[Case]:
        """The connector reads no other page."""
        if question.role != "verify" and not (question.role == "identify" and self.is_leavers(question)):
            return
        with contextlib.suppress(NoAnswer):
            answer = self.one_page(question)
            if question.role == "identify" and answer.status >= 300:
                return      # nobody of that name: an error is no page of a list
            for number in range(len(OTHERS)) if isinstance(answer.body, dict) else [0]:
                yield Case(f"page two unread {title(question)} {number}", lambda n=number: self.others_unread(question, n))

    def one_page(self, question: Question) -> Answer:
        """That shows nobody, or nothing that is left to be done; where only an error would show that, one with something left."""
        if question.role == "identify":
            return self.answer(question, found=False)
        done = self.answer(question, done=True)
        return done if 200 <= done.status < 300 else self.answer(question, done=False)

    def others_unread(self, question: Question, number: int) -> Finding | None:
        """The first page says that there is another one, and names nobody, or shows nothing that is not done."""
        def intervene(q: Question, n: int):
            if q.role == question.role == "identify" and self.is_leavers(q):
                answer = self.one_page(q)
                return (with_others(answer, number) if same_place(q, question) else answer), False
            if q.role == question.role == "verify" and same_place(q, question):
                return with_others(self.one_page(q), number), False
            return None

        outcome = self.run(intervene, expected="neither missing nor confirmed: the connector does not read the second page")
        return outcome.unless_open("there is a second page")

    def leaver_on_page_two(self, question: Question) -> Finding | None:
        """The first page names nobody who is looked for; what stands on the second page usually stands on the first."""
        expected = "the account is found on the second page"
        seen: list = []

        def intervene(q: Question, n: int):
            if not same_place(q, question) or not self.is_leavers(q):
                return None
            if not q.further_page:
                return self.answer(q, found=False, more=True, others=True), False
            seen.append(q)
            if len(seen) > 1 and same_key(seen[0], q) and seen[0].url != q.url:
                return None
            return self.answer(q, found=True, more=None), False

        outcome = self.run(intervene, expected=expected)
        first = [call.question for call in outcome.world.calls if same_place(call.question, question) and not call.question.further_page]
        if any((one.url, one.body) == (other.url, other.body) for one in seen for other in first):
            return outcome.finding("the second page was asked for by the request for the first one")
        if not outcome.is_good() or not seen or outcome.said.get("pinned", {}).get(self.connector.name) != [self.good.world.account]:
            return outcome.finding("the leaver's account is on page two")
        return None

    def undone_on_page_two(self, question: Question) -> Finding | None:
        expected = "not confirmed: the second page shows that it is not done"

        def intervene(q: Question, n: int):
            if not same_place(q, question):
                return None
            if q.further_page:
                return self.answer(q, done=False, more=False), False
            return self.answer(q, done=True, more=True), False

        outcome = self.run(intervene, expected=expected)
        if not any(call.question.further_page for call in outcome.world.calls):
            return outcome.finding("the second page was not asked for")
        return outcome.unless_open("the state is not there, as page two shows")

    def expired_page_two(self, question: Question, status: int) -> Finding | None:
        """The vendor does not know its own link to the second page any more."""
        def intervene(q: Question, n: int):
            if not same_place(q, question):
                return None
            if q.further_page:
                return Answer(status, ERROR), False
            return self.first_of_two(q), False

        outcome = self.run(intervene, expected="neither missing nor done: the error is about the page, and not about the account")
        if not any(call.question.further_page for call in outcome.world.calls):
            return None     # the first page sufficed, or nobody came to it
        return outcome.unless_open(f"the link to the second page has expired ({status})")

    def first_of_two(self, question: Question) -> Answer:
        if question.role == "identify":
            return self.answer(question, found=False, more=True, others=True)
        return self.answer(question, more=True, **({"done": True} if question.role == "verify" else {}))

    def nothing_on_page_two(self, question: Question) -> Finding | None:
        """There is something to be done on the first page, and nothing on the last one."""
        asked: list = []

        def intervene(q: Question, n: int):
            if not same_place(q, question) or self.good.world.complete(q.account):
                return None
            if not q.further_page:
                return (self.answer(q, more=True), False) if not asked else None
            asked.append(q)
            return self.answer(q, done=True, more=False), False

        try:
            outcome = self.run(intervene, expected="what the first page lists is done: that the last page lists nothing is no empty list")
        except NoAnswer:
            return None     # a page with nothing on it can't follow
        changed = {World.change(call.question) for call in outcome.world.calls if call.question.changes}
        if asked and self.good.changes and not changed:
            return outcome.finding("the last page lists nothing")
        return None

    def odd_page_two(self, question: Question, answer: Answer, name: str) -> Finding | None:
        if self.is_right(question, name):
            return None

        def intervene(q: Question, n: int):
            if not same_place(q, question):
                return None
            if q.further_page:
                return answer, False
            return (self.answer(q, found=False, more=True, others=True), False) if q.role == "identify" else (self.answer(q, more=True), False)

        outcome = self.run(intervene, expected="neither missing nor done: nobody knows what stands on the second page")
        return outcome.unless_open(f"the second page was {answer}")

    # Accounts.

    def stranger(self) -> Finding | None:
        """The look-up answers with another person's account, in the place of the leaver's."""
        if not self.connector.identify.get("account") and self.connector.identify.get("trusts"):
            return None
        strangers_id = account_id(66601, self.kind)
        names = {**STRANGER, self.good.world.account: strangers_id}

        def intervene(q: Question, n: int):
            if q.role != "identify" or not self.is_leavers(q):
                return None
            with contextlib.suppress(NoAnswer):
                return self.answer(q, account=strangers_id, emails=[STRANGER[USER["email"]]],
                                   employee_id=STRANGER[USER["employee_id"]], more=False), False
            return self.good.world.good(q).renamed(names), False

        outcome = self.run(intervene, expected="blocked or missing, and nothing is changed: the account is somebody else's")
        return outcome.unless_nothing_changed("the look-up answered with a stranger's account", "missing")

    def numbers(self) -> Finding | None:
        """The vendor writes the account's id as a number."""
        account = self.good.world.account
        if not account.isdecimal():
            return None
        world = World(self.book, account=account, changes=self.good.changes or {"": {None}})

        def intervene(q: Question, n: int):
            answer = world.good(q)
            return Answer(answer.status, with_number(answer.body, account), answer.headers, account=answer.account), q.changes

        world.intervene = intervene
        outcome = Outcome(self, world, self.bench.run(world, **self.good.job), "it succeeds: a number is an id")
        done = outcome.is_good() and self.good.changes.get(account, set()) <= world.granted
        return None if done else outcome.finding("the account's id is a number in all answers")

    def other_number(self) -> Finding | None:
        """Found by e-mail, the account carries another employee number than the leaver's."""
        numbered: list = []

        def intervene(q: Question, n: int):
            if q.role != "identify" or not self.is_leavers(q):
                return None
            with contextlib.suppress(NoAnswer):
                if q.context.get("key_kind") == "email":
                    other = self.answer(q, employee_id=STRANGER[USER["employee_id"]])
                    numbered.append(n)
                    return other, False
            return self.answer(q, found=False), False

        if not (self.connector.identify.get("account") or {}).get("employee_id"):
            return None
        outcome = self.run(intervene, expected="blocked, and nothing is changed: the address may be somebody else's now")
        return outcome.unless_nothing_changed("the account carries another employee number") if numbered else None

    def two_accounts(self) -> Finding | None:
        """One is refused for good, the vendor asks to wait for the other."""
        first = self.good.world.account or next(iter(self.good.changes))
        first = next(iter(self.good.changes), first)
        second = first[:-1] + ("2" if first[-1] != "2" else "3")
        before = self.good.job.get("before", {})
        job = {"ids": {self.connector.name: [first, second]}, **({"before": {**before, second: before.get(first)}} if before else {})}
        usual = self.run(None, expected="both accounts are done", job=job, changes={})
        changes = {account: {World.change(call.question) for call in usual.world.calls
                             if call.question.changes and call.question.account == account} for account in (first, second)}
        world = World(self.book, changes=changes)

        def intervene(q: Question, n: int):
            if q.role != "change" or answered.get(q.account):
                return None
            return (REFUSALS[self.kind][0] if q.account == first else LATER[self.kind]), False

        answered: dict = {}
        world.intervene = intervene
        expected = f"deferred: account {first} has failed and is named, {second} is still to be done"
        said = self.bench.run(world, attempts=1, **{**self.good.job, **job})
        outcome = Outcome(self, world, said, expected)
        accounts = (said.get("state") or {}).get("accounts", {})
        if said["outcome"] != "deferred" or first not in said["message"] or "ended" not in accounts.get(first, {}) \
                or "ended" in accounts.get(second, {}):
            return outcome.finding("of two accounts one was refused, and one is to be tried again later")
        answered[second] = True
        sent = len(world.calls)
        again = self.bench.run(world, **{**self.good.job, **job, "state": said["state"]})
        outcome = Outcome(self, world, again, f"failed, with account {first} named; nothing more is sent for it; {second} is done")
        if again["outcome"] in GOOD or first not in again["message"] or not world.complete(second) or any(
                call.question.changes and call.question.account == first for call in world.calls[sent:]):
            return outcome.finding("the other account went on")
        return None

    def dry_run(self) -> Finding | None:
        outcome = self.run(None, expected="succeeded, and nothing is sent that changes anything", job={"mode": "dry_run"})
        if not outcome.is_good() or any(call.question.changes for call in outcome.world.calls):
            return outcome.finding("it was a dry run")
        return None


class Outcome:
    """Of a run with something changed."""

    def __init__(self, trial: Trial, world: World, said: dict, expected: str) -> None:
        self.trial, self.world, self.said, self.expected = trial, world, said, expected
        if world.trouble and not isinstance(world.trouble, NoAnswer):
            raise world.trouble

    def is_good(self) -> bool:
        return self.said["outcome"] in GOOD

    def is_as_usual(self) -> bool:
        """All that the good run changes was changed, and the outputs are the same."""
        usual = self.trial.good
        return self.said["outcome"] == "succeeded" and self.said["outputs"] == usual.said["outputs"] and set().union(
            *usual.changes.values()) <= self.world.granted

    def finding(self, why: str) -> Finding:
        if self.world.trouble:
            why += f"\n(no answer could be made up for {self.world.trouble})"
        return Finding(self.said, self.world.calls, self.expected, why)

    def unless_open(self, why: str) -> Finding | None:
        """A finding when it is said to be done, or not to be there."""
        return self.finding(why) if self.said["outcome"] in (*GOOD, *GONE) else None

    def unless_nothing_changed(self, why: str, *other: str) -> Finding | None:
        changed = [call for call in self.world.calls if call.question.changes]
        return self.finding(why) if changed or self.said["outcome"] not in ("blocked", *other) else None

    def common(self) -> Finding | None:
        """What holds always: nothing is done that was refused, but for what a read-back shows that covers it."""
        if self.is_good():
            for n, call in enumerate(self.world.calls):
                if call.question.changes and not call.granted and not self._made_good(n, call):
                    return self.finding(f"{call.question} was refused, and nothing shows that it is done all the same")
        return None

    def _made_good(self, n: int, call: Call) -> bool:
        if World.change(call.question) in self.world.granted:
            return True
        seen = any(later.question.role == "verify" for later in self.world.calls[n:]) and (self.said.get("verified") or {}).get("ok")
        return seen and self.world.complete_anyway and self.trial.connector.covered(self.trial.action, call.question.index)


def title(question: Question) -> str:
    return question.place + {"require": " require", "find": " find", "meanwhile": " meanwhile"}.get(question.role, "")


def another_name(asked: str, kind: str) -> str:
    return account_id(66601, kind) if asked.isdecimal() else STRANGER[USER["email"]] if "@" in asked else "of-another-one"


def names_in(answer: Answer, question: Question) -> set[str]:
    """What the answer calls the thing that was asked for: by the name that it was asked by, or by another id that is known of it. Without
    any it is an answer about anything."""
    asked = question.asked or question.account
    known = set(leaves([question.context["ids"], question.context["saved"], question.item]))
    by_name = {name for name in leaves(answer.body) if name.lower() == asked.lower() or name.lower().endswith("/" + asked.lower())}
    return by_name or {name for name in ids_in(answer.body) if name in known}


def ids_in(value) -> list[str]:
    """The members that are called an id."""
    if isinstance(value, list):
        return [one for item in value for one in ids_in(item)]
    if not isinstance(value, dict):
        return []
    return [one for name, item in value.items() for one in (leaves(item) if ID.search(name) else ids_in(item))]


def with_number(value, account: str, name: str = ""):
    """With the account's id as a number."""
    if isinstance(value, list):
        return [with_number(item, account, name) for item in value]
    if isinstance(value, dict):
        return {name: with_number(item, account, name) for name, item in value.items()}
    return int(account) if value == account and ID.search(name) else value


def emptied(value):
    """With no object in any list."""
    if isinstance(value, list):
        return [] if any(isinstance(item, dict) for item in value) else value
    return {name: emptied(item) for name, item in value.items()} if isinstance(value, dict) else value


def same_place(a: Question, b: Question) -> bool:
    return (a.place, a.role) == (b.place, b.role)


def same_key(a: Question, b: Question) -> bool:
    return a.context.get("key") == b.context.get("key")


def same_change(a: Question, b: Question) -> bool:
    return a.role == b.role == "change" and World.change(a) == World.change(b)
