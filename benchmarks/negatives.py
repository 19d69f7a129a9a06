"""How much weight HDF's kernels leave on the negatives of finished runs, in batches of their test clips.

python benchmarks/negatives.py runs/synthetic-hdf [RUN ...] [--title NAME ...] [--format markdown|csv]
"""

import argparse
import shlex
import sys
from pathlib import Path

from dfer.errors import InputError
from dfer.evaluation.beside import names_of
from dfer.evaluation.negatives import comma_separated, markdown, negatives_of
from dfer.runs import RunFolder


def main() -> None:
    """Print a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="+", type=Path)
    parser.add_argument("--title", action="append", default=[], help="once per run; their folders' names unless given")
    parser.add_argument("--predictions", default="test")
    parser.add_argument("--format", choices=["markdown", "csv"], default="markdown")
    options = parser.parse_args()
    runs = [RunFolder(path) for path in options.run]
    try:
        found = {name: negatives_of(run, options.predictions) for name, run in zip(names_of(runs, options.title), runs)}
    except InputError as error:
        parser.error(str(error))
    if options.format == "csv":
        print(comma_separated(found), end="")
        return
    print(markdown(found, shlex.join(["python", "benchmarks/negatives.py", *sys.argv[1:]])), end="")


if __name__ == "__main__":
    main()
