"""`python -m keystead_operator.spec generate [DIRECTORY]` writes the CustomResourceDefinitions.

By default to crds/ and into the Helm chart, which can hold nothing from outside of its own directory.
"""

import sys
from pathlib import Path

from keystead_operator.spec.generate import rendered_files


def main(arguments: list[str]) -> int:
    match arguments:
        case ["generate"]:
            directories = [Path("crds"), Path("charts/keystead/files/crds")]
        case ["generate", where]:
            directories = [Path(where)]
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in rendered_files().items():
            (directory / name).write_text(content, encoding="utf-8")
            print(directory / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
