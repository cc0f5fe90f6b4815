"""The control port: look into a vendor, seed it, change its settings, break it on purpose, read the journal."""

import urllib.parse

from core.journal import Journal, mask_json
from core.server import JsonHandler, LoopbackServer
from core.vendor import Answer, Request, Vendor


class ControlServer(LoopbackServer):
    """Serves the tests, not the programs under test; its requests are not journalled."""

    def __init__(self, vendors: dict[str, Vendor], journal: Journal) -> None:
        self.vendors = vendors
        self.journal = journal
        super().__init__(ControlHandler)

    def reset(self) -> None:
        for vendor in self.vendors.values():
            vendor.reset()
        self.journal.clear()


class ControlHandler(JsonHandler):
    """Answers with JSON; an unusable order is a 400 that says what is wrong with it."""

    server: ControlServer

    def answer_request(self) -> None:
        request = self.read_request()
        if request is not None:
            try:
                answer = self._answer(request)
            except ValueError as error:
                answer = Answer(400, {"error": str(error)})
            self.send(answer)

    def _answer(self, request: Request) -> Answer:
        kind, _, system = urllib.parse.unquote(request.path.strip("/")).partition("/")
        if (request.method, kind, system) == ("POST", "reset", ""):
            self.server.reset()
            return Answer(200, {})
        if (request.method, kind, system) == ("GET", "journal", ""):
            return Answer(200, self.server.journal.entries(request.params.get("system")))
        if (request.method, kind, system) == ("GET", "systems", ""):
            return Answer(200, sorted(self.server.vendors))
        order = _ORDERS.get((request.method, kind))
        vendor = self.server.vendors.get(system)
        if order is None:
            return Answer(404, {"error": f"no {request.method} {request.path} here"})
        if vendor is None:
            return Answer(404, {"error": f"no system {system!r}; there are: {', '.join(sorted(self.server.vendors))}"})
        return Answer(200, order(self, vendor, request))

    def _get_state(self, vendor: Vendor, _request: Request):
        with vendor.lock:
            return vendor.export()

    def _post_state(self, vendor: Vendor, request: Request):
        vendor.load(_object(request))
        return self._get_state(vendor, request)

    def _get_faults(self, vendor: Vendor, _request: Request):
        return vendor.faults.listing()

    def _post_faults(self, vendor: Vendor, request: Request):
        rules = request.json()
        vendor.faults.add(rules if isinstance(rules, list) else [rules])
        return vendor.faults.listing()

    def _delete_faults(self, vendor: Vendor, _request: Request):
        vendor.faults.clear()
        return []

    def _get_settings(self, vendor: Vendor, _request: Request):
        return mask_json(vendor.settings)

    def _put_settings(self, vendor: Vendor, request: Request):
        vendor.change_settings(_object(request))
        self.server.journal.add_secrets(vendor.secrets())
        return self._get_settings(vendor, request)


def _object(request: Request) -> dict:
    value = request.json()
    if not isinstance(value, dict):
        raise ValueError("an object is wanted")
    return value


_ORDERS = {
    ("GET", "state"): ControlHandler._get_state,
    ("POST", "state"): ControlHandler._post_state,
    ("GET", "faults"): ControlHandler._get_faults,
    ("POST", "faults"): ControlHandler._post_faults,
    ("DELETE", "faults"): ControlHandler._delete_faults,
    ("GET", "settings"): ControlHandler._get_settings,
    ("PUT", "settings"): ControlHandler._put_settings,
}
