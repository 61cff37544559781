"""The error of an image that a data set names and cannot give."""

from __future__ import annotations

from dukd_basicsr.errors import RunError


class UnreadableImageError(RunError, RuntimeError):
    """An image is missing or cannot be decoded; the sentence names it and where it should be.

    A DataLoader hands a worker's exception to the parent as `type(error)(text)`, with the worker's traceback in the
    text; the sentence at its end is what the parent's exception says.

    Args:
        message (str): The sentence, or such a text.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f'{UnreadableImageError.__name__}: ')[2].strip())
