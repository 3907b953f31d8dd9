"""Tensors as they travel: in JSON, in the forms that TensorFlow Serving's REST interface defines, and as protos."""

import base64
import binascii
import functools
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import orjson
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from ml_lstm.serving.refusals import invalid, shortened

# Of a string beside its characters: an object in Python, another in TensorFlow.
_STRING_BYTES = 64
_MOST_DIMENSIONS = 32

# Of JSON: 75 images of 84x84x3 as lists are half a million lists and 1.6 million values.
_MOST_LISTS = 1_000_000
_MOST_VALUES = 4_000_000


def request_from_json(body: bytes) -> dict[str, Any]:
    """Parses the body of a `:predict` request.

    Returns:
        It, with a `signature_name` and either `inputs` or `instances`.

    Raises:
        Refusal: if it is no such thing.
    """
    # Counted, in hundredths of a second, before anything is made of them: no other caller is answered meanwhile.
    if body.count(b"[") + body.count(b"{") > _MOST_LISTS or body.count(b",") > _MOST_VALUES:
        raise invalid(
            f"The body has more than {_MOST_LISTS} lists or {_MOST_VALUES} values: send picture files, or use gRPC."
        )
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is no JSON: {error}.") from None
    if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
        raise invalid('The body must be a JSON object with either "inputs" or "instances".')
    if not isinstance(request.setdefault("signature_name", ""), str):
        raise invalid("signature_name must be a string.")
    return request


def inputs_from_json(request: dict[str, Any], signature: SignatureDef) -> dict[str, np.ndarray]:
    """The tensors of a request.

    Args:
        request: of `request_from_json`; `inputs` maps names to tensors, `instances` is a list of such maps, a row
            of every tensor each. Of a signature with one input, the tensor or row itself will do. Bytes are
            `{"b64": "..."}`.
        signature: that it asks for.

    Returns:
        By name; strings as arrays of `bytes` objects.

    Raises:
        Refusal: for an unknown name, or values that are no tensor of the input's type.
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
    require_names(values.keys(), signature)
    return {name: _array(name, value, signature.inputs[name]) for name, value in values.items()}


def response_to_json(outputs: dict[str, np.ndarray], rows: bool) -> bytes:
    """A response in the form of its request.

    Args:
        outputs: by name.
        rows: whether the request had `instances`.

    Raises:
        Refusal: for rows, if the outputs differ in their number.
    """
    values = {name: _value(name, output) for name, output in outputs.items()}
    if not rows:
        key, value = "outputs", values
    else:
        sizes = {name: output.shape[0] if output.ndim else None for name, output in outputs.items()}
        if len(set(sizes.values())) > 1 or None in sizes.values():
            raise invalid(f'The outputs differ in length, {sizes}: send "inputs" in place of "instances".')
        key = "predictions"
        value = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    if len(outputs) == 1:
        (name,) = outputs
        value = [row[name] for row in value] if rows else value[name]
    return orjson.dumps({key: value}, option=orjson.OPT_SERIALIZE_NUMPY)


def inputs_from_protos(
    protos: Mapping[str, TensorProto], signature: SignatureDef, max_bytes: int
) -> dict[str, np.ndarray]:
    """The tensors of a request.

    Args:
        protos: by name.
        signature: that the request asks for.
        max_bytes: that all of them may take; a proto of a few bytes can ask for any number.

    Returns:
        By name.

    Raises:
        Refusal: for names that are not those of the signature, or what is too large or no tensor. Nothing of their
            size has been allocated then.
    """
    require_names(protos.keys(), signature)
    left = max_bytes
    for name, proto in protos.items():
        try:
            size = _bytes_taken(proto)
        except (TypeError, ValueError) as error:
            raise _no_tensor(name, error) from None
        if size > left:
            raise invalid(
                f"{name} is too large: the tensors of a request may take {max_bytes} bytes. Send picture files, or the "
                "queries in parts."
            )
        left -= size
    return {name: _from_proto(name, proto) for name, proto in protos.items()}


def require_names(names: Collection[str], signature: SignatureDef) -> None:
    """Refuses names of inputs that are not those of a signature.

    Raises:
        Refusal: for one that is missing or not known.
    """
    differences = {"lacks": signature.inputs.keys() - names, "does not take": names - signature.inputs.keys()}
    problems = [f"{verb} {_few(sorted(some))}" for verb, some in differences.items() if some]
    if problems:
        raise invalid(f"The request {' and '.join(problems)}; it takes {', '.join(sorted(signature.inputs))}.")


def _few(items):
    """The first of what a caller sent, each cut short: a caller's words are not repeated whole."""
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(shortened(str(item)) for item in items[:3]) + more


def _bytes_taken(proto):
    """What a proto becomes."""
    dtype = tf.as_dtype(proto.dtype)
    if dtype in (tf.resource, tf.variant):
        raise ValueError(f"its type is {dtype.name}")
    sizes = [size.size for size in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(sizes, default=0) < 0:
        raise ValueError("its shape is not known")
    if len(sizes) > _MOST_DIMENSIONS or max(sizes, default=0) >= 2**31:
        raise ValueError("its shape is no tensor's")
    count = math.prod(sizes)
    if dtype != tf.string:
        return count * dtype.size
    # Where fewer values are given, the last one fills the rest.
    lengths = [len(value) for value in proto.string_val] or [0]
    return count * _STRING_BYTES + sum(lengths) + max(count - len(lengths), 0) * lengths[-1]


def _from_proto(name, proto):
    if proto.dtype == tf.string.as_datatype_enum and not proto.string_val:
        return np.full([size.size for size in proto.tensor_shape.dim], b"", object)  # where TensorFlow has texts
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_tensor(name, error) from None


def _no_tensor(name, error):
    return invalid(f"{name} is no tensor: {shortened(' '.join(str(error).split()))}.")


def _by_name(value, signature, where):
    if isinstance(value, dict) and value.keys() != {"b64"}:
        return value
    if len(signature.inputs) == 1:
        return {next(iter(signature.inputs)): value}
    raise invalid(f"{where} must be an object with {', '.join(sorted(signature.inputs))}.")


def _array(name, value, info):
    dtype = tf.as_dtype(info.dtype)
    try:
        # Lists of objects, as NumPy would cut strings at their zero bytes.
        array = _each(_bytes, np.array(value, object)) if dtype == tf.string else _numbers(np.array(value), dtype)
    except ValueError as error:
        raise invalid(f"{name} must be an array of {dtype.name}: {str(error).rstrip('.')}.") from None
    rank = len(info.tensor_shape.dim)
    # In JSON an empty set is [], whatever its rank.
    return array if array.size else array.reshape(array.shape + (0,) * (rank - array.ndim))


def _numbers(array, dtype):
    kinds = "b" if dtype.is_bool else "iu" if dtype.is_integer else "iuf"
    if not array.size:
        return array.astype(dtype.as_numpy_dtype)
    if array.dtype.kind not in kinds:
        raise ValueError("a value is of another type")
    if dtype.is_integer and not dtype.min <= array.min() <= array.max() <= dtype.max:
        raise ValueError(f"values must be from {dtype.min} to {dtype.max}")
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype.as_numpy_dtype)
    if dtype.is_floating and not np.isfinite(numbers).all():
        raise ValueError("values must be finite")
    return numbers


def _bytes(item):
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, dict) and item.keys() == {"b64"} and isinstance(item["b64"], str):
        try:
            return base64.b64decode(item["b64"], validate=True)
        except binascii.Error:
            raise ValueError("a b64 value is no base64") from None
    raise ValueError('a value is neither a string nor {"b64": "..."}')


def _value(name, output):
    """What `orjson` writes as TensorFlow Serving would."""
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
        pass  # TensorFlow Serving would write broken JSON
    return {"b64": base64.b64encode(item).decode()}
