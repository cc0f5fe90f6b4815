"""Retriever: device returns (a box sent out, a device sent back), paged lists, and the limit of reads a day."""

import hmac

from core.vendor import Answer, Refusal, Request, Vendor, route

API = "/api/v2"
DEVICES = ("laptop", "monitor", "desktop", "tablet", "cell_phone")
ADDRESS = ("address_line_1", "address_city", "address_state", "address_zip")
RETURN_ADDRESS = ("return_recipient_name", "return_address_line_1", "return_address_city", "return_address_state",
                  "return_address_zip", "display_name")


class Retriever(Vendor):
    """One customer. Every POST orders a box: there is no key against repetition, and no look-up but by page and by id."""

    DEFAULTS = {
        "token": "sandbox-retriever-key-s3cret",
        "page_size": 50,
        "reads_per_day": None,      # over it reads are a 429 until the next day
        "return_polls": 0,          # looks at an order until its label for the way back is there
    }
    SEED_KEYS = ("device_returns",)

    def start(self) -> None:
        self._reads = 0

    # Refusing.

    def authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(token.encode(), self.settings["token"].encode()):
            raise Refusal(Answer(401, {"detail": "Invalid API key."}))

    def fail(self, status: int, message: str = "") -> Answer:
        return Answer(status, {"detail": message or "Error"})

    def _count_read(self) -> None:
        self._reads += 1
        most = self.settings["reads_per_day"]
        if most is not None and self._reads > most:
            raise Refusal(Answer(429, {"detail": "Request was throttled. Expected available in 43200 seconds."},
                                 {"Retry-After": "43200"}))

    # Ordering.

    @route("POST", API + "/device_returns/")
    def order(self, request: Request) -> Answer:
        try:
            asked = request.json()
        except ValueError:
            raise Refusal(Answer(400, {"detail": "JSON parse error"})) from None
        wrong = self._problems(asked)
        if wrong:
            raise Refusal(Answer(400, wrong))
        key = str(self.store.next_number("device_return", 5001))
        order = {**asked, "id": key, "shipments": [self._shipment(key, asked["device"])], "looks": 0}
        self.store.put("device_returns", key, order)
        return Answer(201, self._shown(order))

    def _problems(self, asked: dict) -> dict:
        wrong = _wrong_types(asked)
        if asked.get("device") not in DEVICES:
            wrong["device"] = [f"\"{asked.get('device')}\" is not a valid choice."]
        employee, company = asked.get("employee_info") or {}, asked.get("company_info") or {}
        for name in ("name", *ADDRESS):
            if not employee.get(name):
                wrong.setdefault("employee_info", {}).setdefault(name, ["This field is required."])
        country = employee.get("address_country") or "United States"
        if country not in ("United States", "Canada"):
            wrong.setdefault("employee_info", {})["address_country"] = [f"\"{country}\" is not a valid choice."]
        elif country == "Canada" and asked.get("device") not in ("laptop", "cell_phone"):
            wrong["detail"] = "Returns from Canada are available for laptops and cell phones only."
        for name in RETURN_ADDRESS:
            if not company.get(name):
                wrong.setdefault("company_info", {}).setdefault(name, ["This field is required."])
        return wrong

    def _shipment(self, key: str, device: str) -> dict:
        return {"id": f"{key}-1", "device_type": device, "status": "box_in_transit",
                "outbound_tracking": f"1ZOUT{key}", "outbound_carrier": "UPS", "return_tracking": None, "return_carrier": None,
                "box_shipped_at": None, "box_delivered_at": None, "device_shipped_at": None, "device_delivered_at": None}

    def _shown(self, order: dict) -> dict:
        return {name: value for name, value in order.items() if name != "looks"}

    # Reading.

    @route("GET", API + "/device_returns/")
    def list_orders(self, request: Request) -> Answer:
        self._count_read()
        page, size = int(request.params.get("page", "1")), self.settings["page_size"]
        orders = list(self.store.all("device_returns"))[::-1]
        if page > 1 and (page - 1) * size >= len(orders):
            raise Refusal(Answer(404, {"detail": "Invalid page."}))
        link = f"{request.origin}{API}/device_returns/?page="
        return Answer(200, {"count": len(orders), "next": f"{link}{page + 1}" if page * size < len(orders) else None,
                            "previous": f"{link}{page - 1}" if page > 1 else None,
                            "results": [self._shown(order) for order in orders[(page - 1) * size:page * size]]})

    @route("GET", API + "/device_returns/{key}/")
    def read_order(self, request: Request, key: str) -> Answer:
        self._count_read()
        order = self.store.edit("device_returns", key)
        if order is None:
            raise Refusal(Answer(404, {"detail": "Not found."}))
        order["looks"] += 1
        if order["looks"] > self.settings["return_polls"] and order["shipments"][0]["return_tracking"] is None:
            order["shipments"][0] |= {"return_tracking": f"1ZRET{key}", "return_carrier": "UPS"}
        self.store.put("device_returns", key, order)
        return Answer(200, self._shown(order))

    # State for tests.

    def seed(self, state: dict) -> None:
        """Orders merge by `id`; one without is new. `shipment` changes members of its shipment."""
        for given in state.get("device_returns", []):
            key = str(given.get("id") or self.store.next_number("device_return", 5001))
            held = self.store.get("device_returns", key) or {
                "id": key, "device": "laptop", "serial_number": None, "ticket_id": None, "looks": 0,
                "shipments": [self._shipment(key, "laptop")]}
            shipments = [{**held["shipments"][0], **given.get("shipment", {})}]
            self.store.put("device_returns", key,
                           {**held, **{k: v for k, v in given.items() if k != "shipment"}, "id": key, "shipments": shipments})

    def export(self) -> dict:
        return {"device_returns": [self._shown(order) for order in self.store.all("device_returns")], "reads": self._reads}


def _wrong_types(asked: dict) -> dict:
    """What is null, or of another type than the vendor's documentation shows it; the rest are texts."""
    wrong: dict = {}
    for name, value in asked.items():
        if name in ("employee_info", "company_info") and isinstance(value, dict):
            inner = _wrong_types(value)
            wrong |= {name: inner} if inner else {}
        elif value is None:
            wrong[name] = ["This field may not be null."]
        elif name.startswith("request_"):
            wrong |= {} if isinstance(value, bool) else {name: ["Must be a valid boolean."]}
        elif name == "legal_hold":
            wrong |= {} if type(value) is int else {name: ["A valid integer is required."]}
        elif name == "notification_emails":
            listed = isinstance(value, list) and all(isinstance(item, str) and "@" in item for item in value)
            wrong |= {} if listed else {name: ["Expected a list of e-mail addresses."]}
        elif not isinstance(value, str):
            wrong[name] = ["Not a valid string."]
    return wrong
