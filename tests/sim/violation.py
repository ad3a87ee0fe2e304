"""The one error by which a run fails."""


class Violation(AssertionError):
    """`check`: the name of the invariant, a stable word that the table of planted bugs uses; then what happened."""

    def __init__(self, check: str, story: str) -> None:
        super().__init__(f"{check}: {story}")
        self.check = check
        self.story = story


def demand(holds: bool, check: str, story: object) -> None:
    """`story` is only turned into text where the check fails."""
    if not holds:
        raise Violation(check, str(story))
