"""A small seeded generator (splitmix64): the only source of chance in the core, given its seed from outside."""

_MASK = (1 << 64) - 1


class Prng:
    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, bound: int) -> int:
        """A number in [0, bound); `bound` must be positive."""
        assert bound > 0
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return (z ^ (z >> 31)) % bound
