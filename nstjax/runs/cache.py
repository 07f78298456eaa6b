"""Pictures, weight sets and targets that several runs share."""


class Cache:
    """Values by key, each made once. Keys hash, and are equal where the content is."""

    def __init__(self):
        self._made = {}

    def __call__(self, key, make):
        """The value of `make()` at the first call with this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
