"""Converts tensors from and to JSON, in the formats of TensorFlow Serving's REST interface, without TensorFlow."""

import base64
import binascii
import functools
import itertools
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import orjson

from ml_lstm.serving.refusals import invalid, shortened

# Limits for JSON: 75 images of 84x84x3 as lists are half a million lists and 1.6 million values.
_MOST_LISTS = 1_000_000
_MOST_VALUES = 4_000_000
_MOST_NAMES = 100_000

# Numbers written before another thread may run.
_WRITTEN_AT_ONCE = 2**15


class Input(NamedTuple):
    """An input of a signature.

    Attributes:
        dtype: `string` or NumPy's name of the type.
        rank: rank of the tensor.
    """

    dtype: str
    rank: int


class Body(NamedTuple):
    """A parsed request.

    Attributes:
        signature_name: the requested signature; empty for the default.
        rows: whether the request has `instances`.
        inputs: by name, strings as arrays of `bytes` objects; None for an unknown signature.
    """

    signature_name: str
    rows: bool
    inputs: dict[str, np.ndarray] | None


def read(body: bytes, signatures: Mapping[str, Mapping[str, Input]]) -> Body:
    """Parses the body of a `:predict` request and converts its tensors.

    Args:
        body: JSON.
        signatures: the inputs, by name, of each of the model's signatures, by name; the default signature also has the
            empty name.

    Raises:
        Refusal: see `request_from_json` and `inputs_from_json`.
    """
    request = request_from_json(body)
    name, inputs = request["signature_name"], None
    if name in signatures:
        inputs = inputs_from_json(request, signatures[name])
    return Body(name, "instances" in request, inputs)


def request_from_json(body: bytes) -> dict[str, Any]:
    """Parses the body of a `:predict` request.

    Returns:
        The request, with a `signature_name` and either `inputs` or `instances`.

    Raises:
        Refusal: if the body is not such a request, or is too large.
    """
    # Counted before objects are created for them.
    if body.count(b"[") + body.count(b"{") > _MOST_LISTS or body.count(b",") > _MOST_VALUES:
        raise invalid(
            f"The body has more than {_MOST_LISTS} lists or {_MOST_VALUES} values: send image files, or use gRPC."
        )
    if body.count(b'":') + body.count(b'" :') > _MOST_NAMES:
        raise invalid(f'The body has more than {_MOST_NAMES} names: send columns, "inputs", instead of rows.')
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
        raise invalid('The body must be a JSON object with either "inputs" or "instances".')
    if not isinstance(request.setdefault("signature_name", ""), str):
        raise invalid("signature_name must be a string.")
    return request


def inputs_from_json(request: dict[str, Any], signature: Mapping[str, Input]) -> dict[str, np.ndarray]:
    """The tensors of a request.

    Args:
        request: from `request_from_json`. `inputs` maps names to tensors; `instances` is a list of such maps, each with
            one row of every tensor. For a signature with one input, the tensor or row itself is enough. Bytes are
            `{"b64": "..."}`.
        signature: the inputs of the requested signature, by name.

    Returns:
        Tensors by name; strings as arrays of `bytes` objects.

    Raises:
        Refusal: for an unknown name, or values that are not a tensor of the input's type.
    """
    if "inputs" in request:
        values = _by_name(request["inputs"], signature, "inputs")
    else:
        rows = request["instances"]
        if not isinstance(rows, list) or not rows:
            raise invalid("instances must be a list of at least one row.")
        rows = [_by_name(row, signature, "a row of instances") for row in rows]
        if any(row.keys() != rows[0].keys() for row in rows):
            raise invalid("The rows of instances must have the same names.")
        values = {name: [row[name] for row in rows] for name in rows[0]}
    require_names(values.keys(), signature.keys())
    return {name: _array(name, value, signature[name]) for name, value in values.items()}


def response_to_json(outputs: dict[str, np.ndarray], rows: bool) -> bytes:
    """A response in the format of its request.

    Args:
        outputs: tensors by name.
        rows: whether the request had `instances`.

    Raises:
        Refusal: with rows, if the outputs differ in length.
    """
    values = {name: _value(name, output) for name, output in outputs.items()}
    if not rows:
        key, value = "outputs", values
    else:
        sizes = {name: output.shape[0] if output.ndim else None for name, output in outputs.items()}
        if len(set(sizes.values())) > 1 or None in sizes.values():
            raise invalid(f'The outputs differ in length, {sizes}: send "inputs" instead of "instances".')
        key = "predictions"
        value = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    if len(outputs) == 1:
        (name,) = outputs
        value = [row[name] for row in value] if rows else value[name]
    return b"".join((b'{"', key.encode(), b'":', _written(value), b"}"))


def require_names(names: Collection[str], known: Collection[str]) -> None:
    """Checks that the names of inputs are those of a signature.

    Raises:
        Refusal: if a name is missing or unknown.
    """
    differences = {"lacks": set(known) - names, "does not take": names - set(known)}
    problems = [f"{verb} {_few(sorted(some))}" for verb, some in differences.items() if some]
    if problems:
        raise invalid(f"The request {' and '.join(problems)}; it takes {', '.join(sorted(known))}.")


def _few(items):
    """The first few of a caller's names, truncated: a caller's text is not repeated in full."""
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(shortened(str(item)) for item in items[:3]) + more


def _by_name(value, signature, where):
    if isinstance(value, dict) and value.keys() != {"b64"}:
        return value
    if len(signature) == 1:
        return {next(iter(signature)): value}
    raise invalid(f"{where} must be an object with {', '.join(sorted(signature))}.")


def _array(name, value, expected):
    try:
        # Lists of objects, because NumPy would cut strings at zero bytes.
        if expected.dtype == "string":
            array = _each(_bytes, _dense(value, object))
        else:
            array = _numbers(_dense(value), dtype_named(expected.dtype))
    except ValueError as error:
        raise invalid(f"{name} must be an array of {expected.dtype}: {str(error).rstrip('.')}.") from None
    # In JSON, an empty tensor is [] for any rank.
    return array if array.size else array.reshape(array.shape + (0,) * (expected.rank - array.ndim))


def _dense(value, dtype=None):
    """Does the same as `np.array`, which takes several times as long for nested lists."""
    shape, items = [], [value]
    while items and set(map(type, items)) == {list}:
        lengths = set(map(len, items))
        if len(lengths) > 1:
            raise ValueError("lists differ in length")
        shape += lengths
        items = list(itertools.chain.from_iterable(items))
    return np.array(items, dtype).reshape(shape)


def dtype_named(name: str) -> np.dtype:
    """NumPy's type of this name, including the types that TensorFlow adds."""
    return np.dtype(getattr(ml_dtypes, name, name))


def _numbers(array, dtype):
    kinds = dtype.kind if dtype.kind == "b" else "iu" if dtype.kind in "iu" else "iuf"
    if not array.size:
        return array.astype(dtype)
    if array.dtype.kind not in kinds:
        raise ValueError("a value has another type")
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= array.min() <= array.max() <= np.iinfo(dtype).max:
        raise ValueError(f"values must be from {np.iinfo(dtype).min} to {np.iinfo(dtype).max}")
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype)
    if dtype.kind not in "biu" and not np.isfinite(numbers).all():
        raise ValueError("values must be finite")
    return numbers


def _bytes(item):
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, dict) and item.keys() == {"b64"} and isinstance(item["b64"], str):
        try:
            return base64.b64decode(item["b64"], validate=True)
        except binascii.Error:
            raise ValueError("a b64 value is not base64") from None
    raise ValueError('a value is neither a string nor {"b64": "..."}')


def _value(name, output):
    """A value that `orjson` writes like TensorFlow Serving."""
    if output.dtype != object:
        return np.ascontiguousarray(output)
    return _each(functools.partial(_text, is_binary=name.endswith("_bytes")), output).tolist()


def _each(function, objects):
    results = np.empty(objects.shape, object)
    results.flat = [function(item) for item in objects.flat]
    return results


def _text(item, is_binary):
    try:
        if not is_binary:
            return item.decode()
    except UnicodeDecodeError:
        pass  # TensorFlow Serving would write invalid JSON
    return {"b64": base64.b64encode(item).decode()}


def _written(value):
    """JSON of arrays, lists and objects, written in steps, because other threads cannot run during a step."""
    if isinstance(value, dict):
        members = [orjson.dumps(name) + b":" + _written(member) for name, member in value.items()]
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        if not any(isinstance(item, dict | np.ndarray) for item in value):
            return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
        return b"[" + b",".join(map(_written, value)) + b"]"
    if not isinstance(value, np.ndarray) or value.size <= _WRITTEN_AT_ONCE:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    step = _WRITTEN_AT_ONCE // value[0].size
    if not step:
        return b"[" + b",".join(map(_written, value)) + b"]"
    pieces = [_written(value[start : start + step])[1:-1] for start in range(0, len(value), step)]
    return b"[" + b",".join(pieces) + b"]"
