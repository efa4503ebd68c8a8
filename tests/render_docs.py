"""Writes the generated tables of the manual anew: `python -m tests.render_docs`.

Says which cells somebody has to fill in by hand, and exits 1 when there are some.
"""

import sys

from tests.manual.markdown import DOCS
from tests.manual.render import MISSING, names_in, rendered
from tests.manual.tables import TABLES


def main():
    """Rewrite every manual that has such tables."""
    missing = []
    for path in sorted(DOCS.glob("*.md")):
        before = path.read_text()
        if not names_in(before):
            continue
        after = rendered(before, TABLES)
        if after != before:
            path.write_text(after)
            sys.stdout.write(f"{path.name}: rewritten\n")
        missing += [f"{path.name}: {line}" for line in after.splitlines() if MISSING in line]
    sys.stdout.write("".join(f"to be filled in: {line}\n" for line in missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
