"""What several runs read and compute alike, made once."""


class Cache:
    """What several experiments read and compute alike, each once."""

    def __init__(self):
        self._made = {}

    def __call__(self, key, make):
        """What `make()` returned at the first call with this key, which hashes."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
