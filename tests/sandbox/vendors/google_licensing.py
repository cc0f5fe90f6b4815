"""Google's Enterprise License Manager: who has which product, and the licences that a unit assigns of itself."""

from core.vendor import Answer, Request
from vendors.google_access import call
from vendors.google_directory import page, read_object, refuse

API = "/apps/licensing/v1"
SCOPE = "apps.licensing"


class Licensing:
    """Licences, one object each under `user id/product`. Part of the vendor. A person has one SKU of a product."""

    def _show(self, item: dict) -> dict:
        user = self.store.get("users", item["user"])
        return {"kind": "licensing#licenseAssignment", "userId": user["primaryEmail"], "productId": item["productId"],
                "skuId": item["skuId"],
                "selfLink": f"https://licensing.googleapis.com{API}/product/{item['productId']}/sku/{item['skuId']}"
                            f"/user/{user['primaryEmail']}"}

    def licenses(self) -> list[dict]:
        return [self._show(item) for item in self.store.all("licenses")]

    @call("GET", API + "/product/{product}/users", SCOPE)
    def list_product(self, request: Request, product: str) -> Answer:
        return self._list(request, product, None)

    @call("GET", API + "/product/{product}/sku/{sku}/users", SCOPE)
    def list_sku(self, request: Request, product: str, sku: str) -> Answer:
        return self._list(request, product, sku)

    def _list(self, request: Request, product: str, sku: str | None) -> Answer:
        customer = request.params.get("customerId")
        if not customer:
            raise refuse("required", "Required parameter: customerId")
        domains = {user["primaryEmail"].partition("@")[2] for user in self.store.all("users")}
        if customer not in {self.settings["customer"], *domains}:
            raise refuse("forbidden", "Unauthorized operation for the given domain")
        found = [item for item in self.licenses() if item["productId"] == product and sku in (None, item["skuId"])]
        return Answer(200, {"kind": "licensing#licenseAssignmentList",
                            **page(request, found, "items", largest=1000, default=100)})

    def _find(self, product: str, sku: str, address: str) -> tuple[str, dict]:
        """Key and licence. The address has to be the primary one."""
        for item in self.store.all("licenses"):
            shown = self._show(item)
            if (product, sku, address.lower()) == (shown["productId"], shown["skuId"], shown["userId"]):
                return f"{item['user']}/{product}", item
        raise refuse("notFound", "Not Found")

    @call("GET", API + "/product/{product}/sku/{sku}/user/{address}", SCOPE)
    def get_license(self, request: Request, product: str, sku: str, address: str) -> Answer:
        return Answer(200, self._show(self._find(product, sku, address)[1]))

    @call("POST", API + "/product/{product}/sku/{sku}/user", SCOPE)
    def insert_license(self, request: Request, product: str, sku: str) -> Answer:
        user = self.find_user(str(read_object(request).get("userId") or ""))
        if user is None:
            raise refuse("notFound", "userId")
        if self.store.get("licenses", f"{user['id']}/{product}"):
            raise refuse("duplicate", "User already has a license of this product")
        self.seed_licenses(user, [{"productId": product, "skuId": sku}])
        return Answer(200, self._show(self.store.get("licenses", f"{user['id']}/{product}")))

    @call("DELETE", API + "/product/{product}/sku/{sku}/user/{address}", SCOPE)
    def delete_license(self, request: Request, product: str, sku: str, address: str) -> Answer:
        key, item = self._find(product, sku, address)
        automatic = self.settings["auto_licensing"]
        if automatic and automatic["productId"] == product and self._is_licensed_unit(
                self.store.get("users", item["user"])["orgUnitPath"]):
            raise refuse("conditionNotMet", "License assigned automatically cannot be removed.")
        self.store.remove("licenses", key)
        return Answer(200, {})

    def _is_licensed_unit(self, path: str) -> bool:
        """Whether the unit assigns licences of itself: all do but the `unlicensed` ones and what lies under them."""
        return not any(path == unit or path.startswith(unit + "/") for unit in self.settings["auto_licensing"]["unlicensed"])

    def unit_changed(self, before: dict, after: dict) -> None:
        """Give or take the automatic licence of somebody who has been moved."""
        automatic = self.settings["auto_licensing"]
        if not automatic or before["orgUnitPath"] == after["orgUnitPath"]:
            return
        key = f"{after['id']}/{automatic['productId']}"
        if self._is_licensed_unit(after["orgUnitPath"]):
            self.store.put("licenses", key, self.store.get("licenses", key) or {
                "user": after["id"], "productId": automatic["productId"], "skuId": automatic["skuId"]})
        elif self.store.get("licenses", key):
            self.store.remove("licenses", key)

    # State for tests.

    def seed_licenses(self, user: dict, licenses: list) -> None:
        """Give a user these, each {productId, skuId}."""
        for item in licenses:
            self.store.put("licenses", f"{user['id']}/{item['productId']}",
                           {"user": user["id"], "productId": item["productId"], "skuId": item["skuId"]})
