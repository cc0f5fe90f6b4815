"""A search index that lags behind its documents, as the vendors' search services do."""

import time


class LaggingIndex:
    """Keeps the versions of each document until the newest one old enough has replaced the others."""

    def __init__(self) -> None:
        self._versions: dict[str, list[tuple[float, dict | None]]] = {}

    def note(self, key: str, document: dict | None, *, at_once: bool = False) -> None:
        """A document has become what it is now (None: it is gone)."""
        changed_at = float("-inf") if at_once else time.monotonic()
        self._versions.setdefault(key, []).append((changed_at, document))

    def documents(self, lag: float) -> dict[str, dict]:
        """What a search sees when changes show up after `lag` seconds. What was seen once stays seen."""
        horizon = time.monotonic() - lag
        seen = {}
        for key, versions in list(self._versions.items()):
            at = max((i for i, (changed_at, _) in enumerate(versions) if changed_at <= horizon), default=None)
            if at is None:
                continue
            document = versions[at][1]
            versions[:at + 1] = [(float("-inf"), document)]
            if document is not None:
                seen[key] = document
            elif len(versions) == 1:
                del self._versions[key]
        return seen
