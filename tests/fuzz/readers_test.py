"""Whatever is sent, the readers of JSON and of protos read what others do, or refuse it in words."""

import base64
import json
import math

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from ml_lstm.serving.refusals import Refusal
from ml_lstm.serving.server import json_tensors, tensors
from ml_lstm.serving.server.json_tensors import Input
from tests.serving.limits_test import QUICK, QUICK_BODY

MOST_BYTES = 2**20
TYPES = {"strings": tf.string, "bytes": tf.uint8, "numbers": tf.float32, "integers": tf.int32, "flags": tf.bool}


@pytest.fixture(scope="module")
def signature():
    """An input of each of some types and ranks."""
    definition = SignatureDef()
    for rank, (name, dtype) in enumerate(TYPES.items()):
        definition.inputs[name].dtype = dtype.as_datatype_enum
        for _ in range(rank):
            definition.inputs[name].tensor_shape.dim.add(size=-1)
    return definition


def or_refused(read):
    """What is read, or None; a refusal is of the caller, and short."""
    try:
        return read()
    except Refusal as refusal:
        assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
        assert 0 < len(refusal.message) < 1000
        return None


# JSON

numbers = st.one_of(
    st.integers(-1, 256),
    st.integers(),
    st.floats(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e39, -0.0, 0.5, True, False, None]),
)
texts = st.one_of(
    st.text(max_size=5), st.just({"b64": "aGk="}), st.builds(lambda text: {"b64": text}, st.text(max_size=5))
)
leaves = st.one_of(numbers, texts)


def lists(leaves):
    """Arrays of rank 0 to 4, mostly with rows as long as each other."""

    def of(shape, leaf):
        return leaf if not shape else [of(shape[1:], leaf) for _ in range(shape[0])]

    even = st.builds(of, st.lists(st.integers(0, 3), max_size=4), leaves)
    return st.one_of(
        even,
        st.lists(leaves, max_size=4),
        st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=8),
    )


OF_TYPE = {
    "strings": lists(texts),
    "bytes": lists(st.integers(0, 255)),
    "numbers": lists(st.floats(width=32)),
    "integers": lists(st.integers(-(2**31), 2**31 - 1)),
    "flags": lists(st.booleans()),
}
inputs = st.fixed_dictionaries({name: st.one_of(values, values, lists(leaves)) for name, values in OF_TYPE.items()})
other = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)
bodies = st.one_of(
    st.builds(lambda value: {"inputs": value}, inputs),
    st.builds(lambda rows: {"instances": rows}, st.lists(inputs, max_size=3)),
    st.builds(
        lambda value, more: {"inputs": value} | more,
        inputs,
        st.dictionaries(st.sampled_from(["signature_name", "instances", "x"]), other),
    ),
    st.builds(lambda value: {"inputs": value}, st.dictionaries(st.sampled_from(["x", *TYPES]), other)),
    other,
)


@st.composite
def written(draw) -> bytes:
    """JSON, also as it must not be written: with numbers that are none, doubled names, in other encodings, cut."""
    text = json.dumps(draw(bodies), ensure_ascii=draw(st.booleans()))
    match draw(st.sampled_from(["", "", "", "doubled", "deep", "words", "cut", "byte"])):
        case "doubled":
            text = text.replace('{"', '{"inputs": 1, "', 1)
        case "deep":
            depth = draw(st.sampled_from([100, 1000, 1025, 5000]))
            text = text.replace("[", "[" * depth, 1).replace("]", "]" * depth, 1)
        case "words":
            text = text.replace(
                "1", draw(st.sampled_from(["NaN", "Infinity", "-Infinity", "01", "1e999", "0x1", "1.", "\\ud800"]))
            )
        case "cut":
            text = text[: draw(st.integers(0, len(text)))]
        case "byte":
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(st.characters()) + text[at + 1 :]
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    return text.encode(encoding, errors="surrogatepass" if encoding.startswith("utf") else "replace")


def as_python_reads(value, dtype):
    """An array of what `json` made of a tensor."""
    if dtype != tf.string:
        return np.array(value).astype(dtype.as_numpy_dtype)
    flat = np.array(value, object)
    texts = [base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode() for item in flat.flat]
    return np.array([*texts, None], object)[:-1].reshape(flat.shape)


def same(ours, theirs):
    if ours.dtype == object:
        return ours.size == theirs.size and ours.ravel().tolist() == theirs.ravel().tolist()
    return ours.size == theirs.size and np.allclose(ours.ravel(), theirs.ravel(), rtol=1e-6)


def test_json_is_read_as_python_reads_it_or_refused(try_examples):
    inputs = {name: Input(dtype.name, rank) for rank, (name, dtype) in enumerate(TYPES.items())}
    signatures = {"": inputs}

    def check(body):
        found = or_refused(lambda: json_tensors.read(body, signatures))
        if found is None or found.inputs is None:
            return
        arrays = found.inputs
        assert arrays.keys() == TYPES.keys()
        told = json.loads(body)
        for name, array in arrays.items():
            value = [row[name] for row in told["instances"]] if found.rows else told["inputs"][name]
            assert array.dtype == (object if TYPES[name] == tf.string else TYPES[name].as_numpy_dtype)
            assert same(array, as_python_reads(value, TYPES[name]))
            assert array.dtype.kind != "f" or np.isfinite(array).all()

    try_examples(written(), check)


# Protos

sizes = st.one_of(st.integers(0, 4), st.sampled_from([-1, 2**31 - 1, 2**31, 2**62, -(2**63), 100_000]))
FIELDS = {
    "float_val": st.floats(width=32),
    "double_val": st.floats(),
    "int_val": st.integers(-(2**31), 2**31 - 1),
    "int64_val": st.integers(-(2**63), 2**63 - 1),
    "uint32_val": st.integers(0, 2**32 - 1),
    "string_val": st.binary(max_size=8),
    "bool_val": st.booleans(),
    "half_val": st.integers(0, 2**17),
    "scomplex_val": st.floats(width=32),
}
OWN_FIELD = {
    "strings": "string_val",
    "bytes": "int_val",
    "numbers": "float_val",
    "integers": "int_val",
    "flags": "bool_val",
}


@st.composite
def protos(draw, name) -> TensorProto:
    """Tensors of a type in one form or another, of a few numbers too many or too few, or of another type."""
    dtype = TYPES[name].as_datatype_enum
    proto = TensorProto(
        dtype=draw(st.one_of(st.just(dtype), st.just(dtype), st.integers(0, 130), st.integers(-(2**31), 2**31 - 1)))
    )
    for size in draw(st.lists(sizes, max_size=5)):
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = draw(st.sampled_from([False] * 9 + [True]))
    for field in draw(st.lists(st.sampled_from([OWN_FIELD[name]] * 6 + sorted(FIELDS)), max_size=2, unique=True)):
        getattr(proto, field).extend(draw(st.lists(FIELDS[field], max_size=8)))
    if draw(st.booleans()):
        proto.tensor_content = draw(st.binary(max_size=40))
    return proto


@st.composite
def messages(draw) -> bytes:
    """Requests as they are sent, and some bytes of them changed."""
    request = PredictRequest()
    for name in draw(st.lists(st.sampled_from([*TYPES, "x"]), unique=True)) if draw(st.booleans()) else TYPES:
        request.inputs[name].CopyFrom(draw(protos(name if name in TYPES else "bytes")))
    data = bytearray(request.SerializeToString())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: len(data) - draw(st.sampled_from([0, 0, 0, 0, 1, 5]))])


def as_tensorflow_reads(proto):
    """An array, or None."""
    try:
        return tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype)).numpy()
    except (tf.errors.OpError, TypeError, ValueError):
        return None


@pytest.fixture
def check_proto(signature):
    def check(name, proto):
        alone = SignatureDef()
        alone.inputs[name].CopyFrom(signature.inputs[name])
        found = or_refused(lambda: tensors.inputs_from_protos({name: proto}, alone, MOST_BYTES))
        if found is None:
            return None
        array = found[name]
        assert list(array.shape) == [size.size for size in proto.tensor_shape.dim]
        assert math.prod(array.shape) * (64 if array.dtype == object else array.itemsize) <= MOST_BYTES
        theirs = as_tensorflow_reads(proto)
        if theirs is not None and array.dtype.kind in "buifc":
            np.testing.assert_array_equal(array, theirs)
        elif theirs is not None and array.dtype == object:
            assert array.ravel().tolist() == np.asarray(theirs, object).ravel().tolist()
        return array

    return check


def test_a_proto_is_read_as_tensorflow_reads_it_or_refused(try_examples, check_proto):
    pairs = st.sampled_from(sorted(TYPES)).flatmap(lambda name: st.tuples(st.just(name), protos(name)))
    try_examples(pairs, lambda drawn: check_proto(*drawn))


READ = {"half", "bfloat16", "float", "double", "complex64", "complex128", "bool", "string"}
READ |= {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
KINDS = types_pb2.DataType.items() + [(f"no type, {number}", number) for number in (34, 99, 134, 1000, -1, 2**31 - 1)]
VALUES = {"string_val": [b"a", b"b"], "float8_val": b"ab", "resource_handle_val": [{}, {}], "variant_val": [{}, {}]}


@pytest.mark.parametrize(("kind", "number"), KINDS, ids=[kind for kind, _ in KINDS])
def test_a_proto_of_any_type_is_read_or_refused(kind, number, check_proto):
    fields = [field.name for field in TensorProto.DESCRIPTOR.fields if field.name.endswith("_val")]
    forms = [{}] + [{field: VALUES.get(field, [1, 1])} for field in fields]
    forms += [{"tensor_content": bytes(length)} for length in (1, 2, 4, 8, 16, 32)]
    found = []
    for form in forms:
        for sizes in ([], [2], [0], [1, 2]):
            proto = TensorProto(dtype=number, **form)
            for size in sizes:
                proto.tensor_shape.dim.add(size=size)
            found.append(check_proto("bytes", proto))
    assert any(array is not None for array in found) == (kind.removeprefix("DT_").lower() in READ)


# The server

STATUSES = {200, 400, 404, 413, 415}
CODES = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@pytest.fixture(scope="module")
def unharmed(server):
    """After all that is sent it has noticed nothing, and answers."""
    yield
    assert "Traceback" not in server.log.read_text()
    assert requests.post(f"{server.url}/v1/models/m:predict", data=QUICK_BODY, timeout=600).status_code == 200


def quick_with(change):
    """The body of a good request, somewhat changed."""
    body = json.loads(QUICK_BODY)
    body["inputs"] |= change
    return json.dumps(body).encode()


def test_the_server_answers_or_refuses_any_body(try_examples, server, unharmed):
    changes = st.dictionaries(
        st.sampled_from(["support_images", "support_labels", "query_images"]), lists(leaves), max_size=2
    )
    with requests.Session() as session:

        def check(body):
            answer = session.post(f"{server.url}/v1/models/m:predict", data=body, timeout=600)
            assert answer.status_code in STATUSES, answer.text
            assert answer.json().keys() & {"outputs", "predictions", "error"}

        try_examples(st.one_of(st.builds(quick_with, changes), written()), check)


def test_the_server_answers_or_refuses_any_message(try_examples, channel, unharmed):
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    @st.composite
    def quick(draw):
        request = PredictRequest()
        request.CopyFrom(QUICK)
        for name in draw(st.lists(st.sampled_from(sorted(QUICK.inputs)), max_size=2, unique=True)):
            request.inputs[name].CopyFrom(draw(protos("strings")))
        data = bytearray(request.SerializeToString())
        for _ in range(draw(st.integers(0, 3))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(data)

    def check(data):
        try:
            predict(data, timeout=600)
        except grpc.RpcError as error:
            assert error.code() in CODES, error
            assert len(error.details()) < 2000

    try_examples(st.one_of(quick(), messages()), check)
