"""`python -m raven_scan.figures.comparison_process`: compares models, away from a server that has requests to answer.

Orders come as a line on stdin, answers go to stdout. It ends with whoever asked: then stdin does.
"""

import os
import sys
import threading
from functools import lru_cache
from pathlib import Path

from raven_scan.figures.comparison import Contender, check_same_part, compare_contenders, list_part_classes
from raven_scan.figures.comparison_orders import (
    ComparisonAnswer,
    ComparisonOrder,
    Problem,
    decode_orders,
    encode_answers,
)
from raven_scan.figures.difference import DifferentPartsError
from raven_scan.figures.matches import Matches, UnreadableMatchesError, read_matches


def answer(order: ComparisonOrder) -> ComparisonAnswer:
    """Compares two files of matches, or says why not."""
    try:
        # The second is the one that many are compared with.
        second, first = _read(order.second), _read(order.first)
    except UnreadableMatchesError as error:
        return ComparisonAnswer(problem=Problem.UNREADABLE, text=str(error))
    known = list_part_classes(second)
    if order.class_name is not None and order.class_name not in known:
        classes = [name for name in second.classes if name in known]
        return ComparisonAnswer(problem=Problem.UNKNOWN_CLASS, classes=classes)
    try:
        check_same_part(first, second)
    except DifferentPartsError as error:
        return ComparisonAnswer(problem=Problem.DIFFERENT_PARTS, text=str(error))
    base = _enter(order.second, order.figure, order.class_name, order.seed)
    contender = Contender(first, order.figure, order.class_name, seed=order.seed)
    return ComparisonAnswer(difference=compare_contenders(contender, base))


@lru_cache(maxsize=1)
def _enter(path: str, figure: str, class_name: str | None, seed: int) -> Contender:
    """The one that many are compared with."""
    return Contender(_read(path), figure, class_name, seed=seed)


@lru_cache(maxsize=2)
def _read(path: str) -> Matches:
    return read_matches(Path(path))


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    orders = decode_orders(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    sys.stdout.buffer.write(encode_answers([answer(order) for order in orders]))


if __name__ == "__main__":
    main()
