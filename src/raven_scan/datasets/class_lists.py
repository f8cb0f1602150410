"""Which classes a version has: the union over the parts, mapped, in the order of their names."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raven_scan.datasets.annotated_part import AnnotatedPart, clean_class_name
from raven_scan.datasets.problems import ProblemReport
from raven_scan.datasets.types import ImportOptions, Notice
from raven_scan.kernel.errors import Invalid


@dataclass(frozen=True, slots=True)
class ClassLists:
    """Attributes:
    classes: sorted by code points.
    labels: for each part int64 (its classes,): the index in `classes`, -1 for one that was dropped.
    """

    classes: list[str]
    labels: list[NDArray[np.int64]]
    notices: list[Notice]


def check_class_options(options: ImportOptions) -> None:
    """Raises Invalid where the names asked for cannot be, or go against each other."""
    if options.single_class is not None and options.class_map:
        raise Invalid(
            "dataset.options_conflict",
            "--single-class makes every class one, so that --map has nothing left to do.",
            hint="Give one of the two.",
        )
    names = [*options.class_map.values(), *([] if options.single_class is None else [options.single_class])]
    for name in names:
        if clean_class_name(name) is None:
            raise Invalid(
                "dataset.bad_class_name",
                f"{name[:200]!a} cannot be a class's name.",
                hint="Choose 1 to 200 characters, no line breaks or control characters.",
            )


def merge_classes(parts: list[AnnotatedPart], options: ImportOptions, report: ProblemReport) -> ClassLists:
    """Union of the parts' classes, by name.

    A class without any box is kept: it may be one that the next version has. A class without a box that is only
    the supercategory of others is dropped: exports write such a root as if it were a class.
    """
    used: set[str] = set()
    for part in parts:
        used.update(part.classes[int(row)] for row in np.unique(part.class_rows))
    listed = {name for part in parts for name in part.classes if name}
    parents = {name for part in parts for name in part.supercategories}
    dropped = (listed - used) & parents
    renamed = _find_renames(listed - dropped, options, report)
    classes = sorted(set(renamed.values()))
    if not classes and not report:
        report.add("dataset.no_classes", parts[0].source.label, "categories", "no class is named")
    index = {name: position for position, name in enumerate(classes)}
    labels = [
        np.array([index.get(renamed.get(name, ""), -1) for name in part.classes], np.int64) for part in parts
    ]
    return ClassLists(classes, labels, _make_notices(sorted(dropped), sorted(listed - used - dropped), parts))


def _find_renames(names: set[str], options: ImportOptions, report: ProblemReport) -> dict[str, str]:
    if options.single_class is not None:
        single = clean_class_name(options.single_class) or ""
        return dict.fromkeys(names, single)
    renames = {name: name for name in names}
    for old, new in options.class_map.items():
        cleaned = clean_class_name(old)
        if cleaned is None or cleaned not in names:
            known = ", ".join(sorted(names)) or "none"
            report.add(
                "dataset.unknown_class",
                "--map",
                ascii(old[:200]),
                f"no class has this name; there are: {known}",
            )
        else:
            renames[cleaned] = clean_class_name(new) or ""
    return renames


def _make_notices(dropped: list[str], unused: list[str], parts: list[AnnotatedPart]) -> list[Notice]:
    notices: list[Notice] = []
    if dropped:
        notices.append(
            Notice(
                "dataset.supercategory_dropped",
                "Categories without a box that are only the supercategory of others are no classes.",
                len(dropped),
                tuple(dropped[:5]),
            )
        )
    if unused:
        notices.append(
            Notice(
                "dataset.class_without_boxes",
                "Classes without a box were kept.",
                len(unused),
                tuple(unused[:5]),
            )
        )
    repeated = sorted({n for part in parts for n in part.classes if n and part.classes.count(n) > 1})
    if repeated:
        notices.append(
            Notice(
                "dataset.class_named_twice",
                "Categories of the same name are one class.",
                len(repeated),
                tuple(repeated[:5]),
            )
        )
    return notices
