"""A thread that follows what happens to objects of one kind, in all namespaces, in the server's order."""

import json
import threading

from api import Api, Refused


class Watcher(threading.Thread):
    """Works from `start` until `stop`. What goes wrong in it is raised by `stop`."""

    def __init__(self, api: Api, version: str, kind: str) -> None:
        super().__init__(daemon=True, name=kind)
        self._api = api
        self._path = api.path(version, kind)
        self._stopping = False
        self._failure: BaseException | None = None

    def happened(self, what: str, item: dict) -> None:
        """ADDED, MODIFIED or DELETED. 404 and 409 of its own calls mean that the object has changed meanwhile: that comes, too."""
        raise NotImplementedError

    def look_again(self) -> None:
        """About once a second, and after each event."""

    def run(self) -> None:
        version = None
        try:
            while not self._stopping:
                version = self._follow(version)
        except BaseException as failure:  # noqa: BLE001: the thread that ends the run tells of it
            self._failure = failure

    def _follow(self, version: str | None) -> str:
        """For a second, from a resource version on. The last one seen."""
        if version is None:
            found = self._api.call("GET", self._path)
            version = found["metadata"]["resourceVersion"]
            for item in found["items"]:
                self._tell("ADDED", item)
        for line in self._api.lines(self._path, watch="true", resourceVersion=version, timeoutSeconds=1):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise RuntimeError(f"could not follow {self._path}: {event['object']}")
            self._tell(event["type"], event["object"])
            version = event["object"]["metadata"]["resourceVersion"]
        self._attempt(self.look_again)
        return version

    def _tell(self, what: str, item: dict) -> None:
        self._attempt(lambda: self.happened(what, item))

    def _attempt(self, action) -> None:
        try:
            action()
        except Refused as refused:
            if refused.status not in (404, 409):
                raise

    def stop(self) -> None:
        """Before the API server is."""
        self._stopping = True
        self.join(10)
        if self._failure:
            raise self._failure
