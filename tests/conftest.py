"""What holds for every test: properties are not timed, because machines differ, and their examples are always the same.

`HYPOTHESIS_PROFILE=search` looks at others each time, which is how to look for what the fixed ones miss.
"""

import os

from hypothesis import settings

settings.register_profile("keystead", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "keystead"))
