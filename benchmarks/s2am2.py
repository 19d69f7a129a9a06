"""S2AM2 against nn.LSTM of the same sizes, 512 in and 512 hidden (bound: 2.0 times its time), one thread, inference.

The two take turns, call by call; prints milliseconds per call (median of the rounds) and the ratio (likewise). By
its products alone S2AM2 does 1.56 times the work: 12.5 H^2 weights against 8 H^2.

    python benchmarks/s2am2.py [--rounds 5] [--calls 10] [--json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from dfer.modules import S2AM2

SIZE = 512


def compare(batch: int, steps: int, bidirectional: bool, rounds: int, calls: int) -> dict[str, float]:
    """Time both on the same tokens."""
    x = torch.randn(batch, steps, SIZE)
    lstm = nn.LSTM(SIZE, SIZE, batch_first=True, bidirectional=bidirectional).eval()
    ours = S2AM2(SIZE, SIZE, bidirectional).eval()
    lstm(x), ours(x)  # warm
    pairs = []
    for _ in range(rounds):
        spent = [0.0, 0.0]
        for _ in range(calls):
            spent[0] += seconds(lambda: lstm(x))
            spent[1] += seconds(lambda: ours(x))
        pairs.append((spent[0] / calls, spent[1] / calls))
    return {
        "batch": batch,
        "steps": steps,
        "directions": 1 + bidirectional,
        "lstm_ms": 1000 * statistics.median(pair[0] for pair in pairs),
        "s2am2_ms": 1000 * statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(ours / lstm for lstm, ours in pairs),
    }


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print the comparison for each batch size, length and number of directions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        results = [  # the largest first: later calls then reuse its memory, which helps nn.LSTM more than ours
            compare(batch, steps, bidirectional, options.rounds, options.calls)
            for bidirectional in (True, False)
            for batch in (32, 1)
            for steps in (16, 7)
        ]
    if options.json:
        print(json.dumps(results))
        return
    print(f"{SIZE} -> {SIZE}, inference, one thread, median of {options.rounds} rounds of {options.calls} calls")
    print("directions  batch  steps  nn.LSTM ms  S2AM2 ms  ratio (bound 2.0)")
    for row in results:
        sizes = f"{row['directions']:10}  {row['batch']:5}  {row['steps']:5}"
        print(f"{sizes}  {row['lstm_ms']:10.2f}  {row['s2am2_ms']:8.2f}  {row['ratio']:5.2f}")


if __name__ == "__main__":
    main()
