"""What holds for every test: properties are not timed, because machines differ."""

from hypothesis import settings

settings.register_profile("keystead", deadline=None)
settings.load_profile("keystead")
