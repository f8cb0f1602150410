"""What Babel gathers sentences of code with."""

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import IO


def extract_sentences(
    file: IO[bytes], keywords: Collection[str], comment_tags: Collection[str], options: Mapping[str, str]
) -> Iterator[tuple[int, str, str, list[str]]]:
    """As Babel's own way, which sees nothing in f-strings: line, keyword, sentence and no comments."""
    del comment_tags, options
    for node in ast.walk(ast.parse(file.read())):
        match node:
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name),
                args=[ast.Constant(value=str() as said), *_],
            ) if name in keywords:
                yield node.lineno, name, said, []
            case _:
                pass
