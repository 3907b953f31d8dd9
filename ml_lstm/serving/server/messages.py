"""Checks the size of a protobuf message before it is parsed."""

import functools

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
_LONGEST_TEXT = 2**16


def problem_of(data: bytes, message: Descriptor, most_fields: int) -> str | None:
    """Why a message is too large to be parsed; None if it is not.

    Python's other threads cannot run during parsing. Parsing a field takes up to a microsecond, and text is copied at
    every access. Invalid data are left to the parser, which reports them at the same place.

    Args:
        data: the message.
        message: its type.
        most_fields: maximum number of fields in the message and its inner messages; an item of a list or a map counts
            as one.
    """
    parts, count = [(0, len(data), message)], 0
    try:
        while parts:
            at, end, message = parts.pop()
            inner, texts = _inner_messages(message), _texts(message)
            while at < end:
                count += 1
                if count > most_fields:
                    return f"has more than {most_fields} fields: send arrays as tensor_content, or queries in parts"
                tag, at = _varint(data, at)
                kind = tag & 7
                if kind == _VARINT:
                    _, at = _varint(data, at)
                elif kind == _BYTES:
                    length, at = _varint(data, at)
                    if tag >> 3 in inner:
                        parts.append((at, min(at + length, end), inner[tag >> 3]))
                    if tag >> 3 in texts and length > _LONGEST_TEXT:
                        return f"has a name of more than {_LONGEST_TEXT} bytes"
                    at += length
                elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                    at += 8 if kind == _EIGHT_BYTES else 4
                # The fields of a group follow one by one, between its start and end tags.
    except (IndexError, ValueError):
        pass
    return None


@functools.cache
def _inner_messages(message):
    """The types of inner messages, by field number."""
    return {field.number: field.message_type for field in message.fields if field.message_type}


@functools.cache
def _texts(message):
    """The numbers of text fields; tensors of strings are bytes and are not included."""
    return {field.number for field in message.fields if field.type == FieldDescriptor.TYPE_STRING}


def _varint(data, at):
    """A number, and the position after it."""
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    number = 0
    for index in range(_LONGEST_VARINT):
        byte = data[at + index]
        number |= (byte & 127) << (7 * index)
        if byte < 128:
            return number, at + index + 1
    raise ValueError
