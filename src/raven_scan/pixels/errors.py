"""What is wrong with an image file."""


class UnreadableImage(Exception):  # noqa: N818 - it names the finding
    """An image file cannot become pixels.

    Args:
        code: one of `not_an_image`, `truncated`, `unsupported`, `animated`, `too_large`, `bands_needed`,
            `bands_missing`, `scale_missing`.
        sentence: what is wrong, for the user, without the file's name.
        hint: what to do next, or empty.
    """

    def __init__(self, code: str, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.hint = hint
