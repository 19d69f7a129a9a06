"""The command line: names for plain typed functions of the other rooms, imported only when called."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from dfer.errors import InputError, one_line

COMMANDS = {
    "quickstart": ("dfer.experiments.quickstart:quickstart", "Draw faces, train a small video model, show its report."),
    "train": ("dfer.experiments.train:train", "Train, evaluate and report a recipe."),
    "evaluate": ("dfer.evaluation.evaluate:evaluate", "Measure finished runs; several runs pool."),
    "table": ("dfer.experiments.grid:table", "Run a declared grid of experiments and print its table."),
    "cost": ("dfer.experiments.cost:cost", "Count a model's parameters and true multiply-adds."),
    "agreement": ("dfer.evaluation.agreement:agreement", "Tell how far the clips of a video agree, by expression."),
    "audit": ("dfer.evaluation.audit:audit", "List training clips whose labels may be wrong, and the hard ones."),
    "predict": ("dfer.inference.predict:predict", "Tell who shows which expression when in videos of your own."),
    "export": ("dfer.export.command:export", "Write a run's model as ONNX or OpenVINO, and check it."),
    "serve": ("dfer.serve.command:serve", "Offer a model as a web service, with a page to drop videos on."),
    "figures": ("dfer.evaluation.pictures:figures", "Draw the figures of a run, or a sheet of drawn faces."),
}

DATA_COMMANDS = {
    "index": ("dfer.datasets.check.command:index", "Index a data set's files once, so that it opens at once."),
    "check": ("dfer.datasets.check.command:check", "Say whether a copy of a data set is whole and right."),
    "cache": ("dfer.datasets.packed.command:cache", "Pack a data set's frames into one file that is quick to read."),
    "faces": ("dfer.datasets.faces.command:faces", "Turn raw labelled videos into a data set of face clips."),
    "synthesize": ("dfer.datasets.synthetic.layouts:synthesize", "Write drawn clips in a data set's exact layout."),
}


def build_app() -> App:
    """Register every command by name; none is imported yet."""
    app = App(
        name="dfer",
        version=version("dfer"),
        help="Dynamic facial expression recognition: which expression does a face show over a short video clip?",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, (target, text) in COMMANDS.items():
        app.command(target, name=name, help=text)
    data = App(name="data", help="Index, check or draw data sets.", result_action="return_value")
    for name, (target, text) in DATA_COMMANDS.items():
        data.command(target, name=name, help=text)
    app.command(data)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; bad input ends in one line on stderr and status 2 or 3, never in a traceback."""
    try:
        status = build_app()(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _refuse(error, 2)
    except InputError as error:
        return _refuse(error, error.exit_status)
    except KeyboardInterrupt as error:
        return _refuse(error if error.args else InputError("interrupted"), 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(error, 2)
    except Exception as error:
        if os.environ.get("DFER_DEBUG"):
            raise
        text = (
            f"a fault in dfer ({type(error).__name__}: {one_line(error)}); DFER_DEBUG=1 shows where; please report it"
        )
        return _refuse(InputError(text), 1)
    return status if isinstance(status, int) else 0


def _refuse(error: BaseException, status: int) -> int:
    print(f"dfer: {one_line(error)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
