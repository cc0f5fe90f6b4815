"""The vendor's side of one action: who is there, what was granted, and what is therefore answered."""

import contextlib
import re
import threading
from dataclasses import dataclass, field

from cells import LEFT_AT, Cell, Chooser, Dead, Defaults
from connector import Connector
from jq_eval import Evaluator
from solve import Question, Search, Want, told
from vendor import Answer, decoded

USER = {"email": "jane.doe@example.com", "employee_id": "4711", "name": "Jane Doe", "country": "US",
        "manager": {"email": "boss@example.com", "name": "Bo Boss"}}
REFUSED = {"http": 400, "smtp": 550, "ldap": 53}


class NoAnswer(Exception):
    """No answer could be made up for a request."""


@dataclass
class Call:
    """A request that came. `granted`: the vendor did what it asks for."""
    question: Question
    answer: Answer
    granted: bool
    usual: bool     # nobody intervened


def general(question: Question, text: str) -> str:
    """Without the names of the offboarding and the account."""
    text = text.replace(question.offboarding, "OFFBOARDING")
    return text.replace(question.account, "ACCOUNT") if question.account else text


class Book:
    """The answers that were found for an action; good runs are made of them."""

    pages: dict = {}    # of other people's accounts, for all actions: they take long to make up

    def __init__(self, connector: Connector, action: str, url: str) -> None:
        self.connector, self.action = connector, action
        self.defaults = Defaults(url)
        self.focus: set[int] = set(range(len(connector.requests(action))))      # requests that are to be made, by index
        self._found: dict = {}          # by key: [answers so far, the search for more, which one counts]

    def key(self, question: Question, want: Want) -> tuple:
        """The same for every offboarding and account: what is answered for one is answered for the other, with its own names."""
        text = "" if question.role == "change" else question.body
        plain = [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", general(question, one)) for one in (question.url, text, repr(question.item))]
        return question.role, question.place, question.method, *plain, bool(question.account), want.key()

    def answer(self, question: Question, want: Want) -> Answer:
        key = self.key(question, want)
        found = self.pages if want.others else self._found
        if key not in found:
            found[key] = [[], Search(question, want, self.defaults).answers(), 0, question]
        *known, asked = found[key]
        answer = self._answer(asked, want, *known)
        return answer.renamed({asked.offboarding: question.offboarding, asked.account: question.account})

    def _answer(self, question: Question, want: Want, answers: list, search, index: int) -> Answer:
        while len(answers) <= index:
            try:
                answers.append(next(search))
            except StopIteration:
                raise NoAnswer(told(question, want)) from None
        return answers[index]

    def data_of_signal(self, context: dict, said: dict) -> dict:
        """What makes `until` of a wait come true, and `failed` not."""
        waits = [request["wait"] for request in self.connector.requests(self.action) if "wait" in request]
        for wait in waits:
            chooser = Chooser()
            for _ in range(100):
                data = Cell("data")
                data.make_object()
                ev = Evaluator({**context, "signal": {**said, "data": data}}, chooser, self.defaults)
                with contextlib.suppress(Dead):
                    if ev.true(wait.get("until"), True) and not ev.true(wait.get("failed")):
                        return self.defaults.whole(data)
                if not chooser.again():
                    break
        raise NoAnswer(f"no signal ends the wait of {self.action}")

    def another(self, key: tuple) -> bool:
        """From now on the next best answer counts. False: there is none, and the first one counts again. Nobody is nobody."""
        if key[0] == "identify" and not key[-1][0]:
            return False
        entry = self._found[key]
        entry[2] += 1
        if entry[2] == len(entry[0]) and (following := next(entry[1], None)):
            entry[0].append(following)
        if entry[2] < len(entry[0]):
            return True
        entry[2] = 0
        return False


@dataclass
class World:
    """While a job runs. `intervene(question, n)` is asked first for an answer to the nth request; what it says counts, and whether the
    vendor does what was asked for."""
    book: Book
    account: str = ""       # the leaver's id, once it is known
    changes: dict = field(default_factory=dict)     # what makes the action complete, by account; empty: it is being learnt
    granted: set = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    intervene = None
    complete_anyway: bool = False
    keys: list = field(default_factory=list)        # of the book, in order
    trouble: Exception | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @staticmethod
    def change(question: Question) -> tuple:
        return question.account, question.place, question.method, question.url.replace(question.offboarding, ""), repr(question.item)

    def complete(self, account: str) -> bool:
        if self.complete_anyway:
            return True
        if not self.changes:
            return not any(call.question.changes and not call.granted for call in self.calls)
        return self.changes.get(account, set()) <= self.granted

    def reply(self, asked: dict, body: str) -> Answer:
        with self._lock:
            try:
                return self._reply(self._question(asked, body))
            except Exception as error:  # noqa: BLE001: the test tells of it
                self.trouble = self.trouble or error
                return Answer(REFUSED[self.book.connector.kind()], {"error": "the test does not know an answer"})

    def _question(self, asked: dict, body: str) -> Question:
        question = Question(asked, body, self.book.connector.name)
        if question.role == "find":     # the worker keeps for itself what is saved of it in the end
            find = self.book.connector.requests(self.book.action)[question.index]["find"]
            question.request = {**question.request, **{"save": find[name] for name in ("save",) if name in find}}
        return question

    def _reply(self, question: Question) -> Answer:
        said = self.intervene(question, len(self.calls)) if self.intervene else None
        answer, granted = said or (None, question.changes)
        if granted:
            self.granted.add(self.change(question))
        answer = answer or self.good(question)
        if question.role == "identify" and said is None and not self.account:
            self.account = answer.account
        self.calls.append(Call(question, answer, granted, said is None))
        return answer

    def good(self, question: Question) -> Answer:
        want = self.want(question)
        self.keys.append(self.book.key(question, want))
        try:
            return self.book.answer(question, want)
        except NoAnswer:
            if not want.done or question.role == "verify":
                raise
            return self.book.answer(question, self.want(question, done=False))     # what was read before rules out that it is done

    def signal(self, waits: dict) -> dict:
        """The one that ends a wait."""
        context = self.calls[-1].question.context if self.calls else {"user": USER, "with": {}, "saved": {}, "settings": {}}
        said = {"name": waits["signal"], "key": waits["key"], "source": "/conformance", "at": LEFT_AT,
                "actor": {"kind": "person", "id": "test", "name": "Test"}}
        return {**said, "id": f"signal-{len(self.calls)}-{len(waits['heard'])}",
                "data": self.book.data_of_signal(context, said)}

    def want(self, question: Question, **more) -> Want:
        role, connector = question.role, self.book.connector
        rules = [{"account": connector.identify.get("account")}]
        if question.further_page:
            more = {"more": False, **more}
        if role == "identify":
            return Want(**{"found": self.is_leaver(question) and not question.further_page, "account": self.account, "emails": [USER["email"]],
                           "employee_id": USER["employee_id"], "ahead": rules, **more})
        if role == "confirm":
            return Want(**{"account": question.account, "emails": [USER["email"]], "employee_id": USER["employee_id"],
                           "ahead": rules, **more})
        if role == "verify":
            return Want(**{"done": self.complete(question.account), **more})
        later = list(enumerate(connector.requests(self.book.action)))[question.index + 1:]
        return Want(**{
            "found": role != "find" or any(place == question.place for _, place, *_ in self.granted),
            "done": bool(self.changes) and self.complete(question.account) and role != "change",
            "ahead": [request for index, request in later if index in self.book.focus],
            **more})

    def is_leaver(self, question: Question) -> bool:
        key = question.context.get("key")
        if key is None:
            return not re.search(re.escape(USER["manager"]["email"]), decoded({"url": question.url}, question.body))
        return key.lower() in (USER["email"], USER["employee_id"])
