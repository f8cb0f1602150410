"""All that is wrong with a source, in one report."""

from collections import Counter
from dataclasses import asdict, dataclass

from raven_scan.kernel.errors import Invalid

LISTED_PROBLEMS = 1000
_LONGEST_SENTENCE = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a dataset.

    Attributes:
        code: stable dotted name.
        file: inside the source.
        record: such as `annotation 17`, or empty where it is the file as a whole.
        message: a sentence that goes on from file and record.
    """

    code: str
    file: str
    record: str
    message: str

    def describe(self) -> str:
        where = f"{self.file}, {self.record}" if self.record else self.file
        return f"{where}: {self.message}"


class ProblemReport:
    """Collects problems; lists the first thousand and counts all."""

    def __init__(self) -> None:
        self.listed: list[Problem] = []
        self.counts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return self.counts.total() > 0

    def add(self, code: str, file: str, record: str, message: str) -> None:
        self.counts[code] += 1
        if len(self.listed) < LISTED_PROBLEMS:
            self.listed.append(
                Problem(code, _make_printable(file), _make_printable(record), _make_printable(message))
            )

    def refuse(self) -> None:
        """Raises Invalid `dataset.refused` where there is a problem."""
        if not self:
            return
        total = self.counts.total()
        rest = f" There {'is one more problem' if total == 2 else f'are {total - 1} more problems'}."
        raise Invalid(
            "dataset.refused",
            f"The dataset is refused, and nothing was stored. {self.listed[0].describe()}."
            f"{rest if total > 1 else ''}",
            hint="Correct what is listed, and import again.",
            parameters={
                "problems": [asdict(problem) for problem in self.listed],
                "problem_count": total,
                "counts": dict(self.counts),
            },
        )


def _make_printable(text: str) -> str:
    """Text from a hostile file, fit for a log, a terminal and JSON."""
    text = text if len(text) <= _LONGEST_SENTENCE else f"{text[:_LONGEST_SENTENCE]}…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
