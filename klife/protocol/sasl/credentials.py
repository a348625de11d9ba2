"""What a user gives as credentials, as bytes."""

from __future__ import annotations


def utf8(text: str, what: str) -> bytes:
    """`text` as the brokers compare it: byte for byte. They prepare nothing (SASLprep), so it is not done
    here.

    Raises:
        ValueError: it is empty, or holds what no mechanism can send; the error names `what`, not the text.
    """
    if not text:
        raise ValueError(f"the {what} is empty")
    if "\0" in text:
        raise ValueError(f"the {what} holds a NUL character, which SASL can not send")
    try:
        return text.encode()
    except UnicodeEncodeError:  # which knows the text
        raise ValueError(f"the {what} holds half a surrogate pair, which is no character") from None
