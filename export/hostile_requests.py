"""Requests that try to stop or block a server; `attack.py` sends them by REST, gRPC and plain sockets."""

import base64
import json
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import grpc
import numpy as np
import requests
import tensorflow as tf
from load_test import NAME, Problem
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest

MOST_SECONDS = 90
"""Maximum time to wait for an answer."""

_MEGABYTE = 2**20


class Attack(NamedTuple):
    """A hostile request: its kind, a description, and a function that sends it and returns the answer's status."""

    kind: str
    name: str
    send: Callable[[], str]


def attacks(url: str, address: str, problem: Problem) -> Iterator[Attack]:
    """Yields all hostile requests."""
    yield from (Attack("tensor", *each) for each in _tensors(address, problem))
    yield from (Attack("message", *each) for each in _messages(address))
    yield from (Attack("picture", *each) for each in _pictures(url))
    yield from (Attack("JSON", *each) for each in _json(url))
    yield from (Attack("HTTP", *each) for each in _http(url))


def _tensors(address, problem):
    string, uint8 = tf.string.as_datatype_enum, tf.uint8.as_datatype_enum
    shapes = {
        "67 million": [67_000_000],
        "100 million": [100_000_000],
        "2^62": [2**62],
        "0 x 2^62 x 2^62": [0, 2**62, 2**62],
        "65,536 x 65,536": [65_536, 65_536],
        "5,000 dimensions of 1": [1] * 5000,
        "-1": [-1],
        "none": [],
    }
    channel = grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)])
    call = channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict", PredictRequest.SerializeToString, lambda data: data
    )
    good = {name: tf.make_tensor_proto(value) for name, value in problem.inputs["adapt_and_predict_encoded", 1].items()}

    def sender(changes, signature="adapt_and_predict_encoded", version=None):
        def send():
            request = PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = NAME, signature
            if version is not None:
                request.model_spec.version.value = version
            for name, value in (good | changes).items():
                request.inputs[name].CopyFrom(value)
            try:
                return f"OK, {len(call(request, timeout=MOST_SECONDS))} bytes"
            except grpc.RpcError as error:
                return error.code().name

        return send

    def tensor(kind, sizes, **values):
        proto = TensorProto(dtype=kind, **values)
        for size in sizes:
            proto.tensor_shape.dim.add(size=size)
        return proto

    for what, sizes in shapes.items():
        for name in ("support_labels", "query_images"):
            yield f"{name}: strings, shape {what}", sender({name: tensor(string, sizes, string_val=[b"a"])})
        yield f"query_images: uint8, shape {what}", sender({"query_images": tensor(uint8, sizes, int_val=[1])})
    yield (
        "a string of 1 MB, 10,000 times",
        sender({"support_labels": tensor(string, [10_000], string_val=[b"x" * _MEGABYTE])}),
    )
    yield "5,000 more inputs", sender({f"input {n}": tensor(uint8, [16_000_000]) for n in range(5000)})
    yield "integers out of range", sender({"query_images": tensor(uint8, [2], int_val=[2**31 - 1, -(2**31)])})
    for kind in (0, 14, 20, 21, 1000):
        yield f"a tensor of type {kind}", sender({"query_images": tensor(kind, [1])})
    for version in (-(2**63), -1, 2**63 - 1):
        yield f"version {version}", sender({}, version=version)
    yield "a signature of 15 MB", sender({}, signature="s" * (15 * _MEGABYTE))
    yield "a class of 10 MB", sender({"support_labels": tensor(string, [5], string_val=[b"x" * (10 * _MEGABYTE)])})
    yield "200,000 empty files", sender({"query_images": tensor(string, [200_000], string_val=[b""])})


def _messages(address):
    channel = grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)])
    bodies = {
        "noise": bytes(range(256)),
        "0xff": b"\xff" * 8,
        "a cut field": b"\x0a\x7f",
        "17 MB": bytes(17 * _MEGABYTE),
        "7 million items": b"\x12\0" * (7 * _MEGABYTE),
    }
    for method in ("PredictionService/Predict", "PredictionService/GetModelMetadata", "ModelService/GetModelStatus",
                   "ModelService/HandleReloadConfigRequest", "PredictionService/MultiInference"):  # fmt: skip
        for what, body in bodies.items():
            call = channel.unary_unary(f"/tensorflow.serving.{method}")

            def send(call=call, body=body):
                try:
                    return f"OK, {len(call(body, timeout=MOST_SECONDS))} bytes"
                except grpc.RpcError as error:
                    return error.code().name

            yield f"{method}: {what}", send


def _pictures(url):
    header = b"GIF89a" + struct.pack("<HH", 10, 10) + b"\0\0\0"
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 10, 10) + b"\0\x02\x01a\0\x3b"
    jpeg = b"\xff\xd8\xff\xc0\0\x0b\x08%s\x01\x01\x11\0\xff\xd9"
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR%s\x08\0\0\0\0"
    many = 4 * _MEGABYTE
    files = {
        "GIF, 2 million sub-blocks": header + b"\x21\xfe" + b"\x01a" * (many // 2) + b"\0" + frame,
        "GIF, 800,000 extensions": header + b"\x21\xfe\x01a\0" * (many // 5) + frame,
        "GIF without an end": header + b"\x21\xfe" + b"\x01a" * (many // 2),
        "JPEG of 4096x4096 in 20 bytes": jpeg % struct.pack(">HH", 4096, 4096),
        "JPEG of 65535x65535 in 20 bytes": jpeg % struct.pack(">HH", 65535, 65535),
        "JPEG of a million markers": b"\xff\xd8" + b"\xff\xe1\0\x02" * (many // 4),
        "PNG of 4096x4096 in 30 bytes": png % struct.pack(">II", 4096, 4096),
        "PNG of 2^31 x 2^31": png % struct.pack(">II", 2**31, 2**31),
        "PNG of 300,000 chunks": png % struct.pack(">II", 9, 9) + b"\0\0\0\0" + b"\0\0\0\0tEXt\0\0\0\0" * (many // 12),
        "BMP of -2^31 x 2^31": b"BM" + bytes(16) + struct.pack("<ii", 2**31 - 1, -(2**31)) + b"\1\0\x18\0" + bytes(40),
        "zeros": bytes(many),
        "nothing": b"",
    }
    for name, file in files.items():
        for count in (1, 1000 if len(file) < 100 else 2):
            yield f"{count} x {name}", _poster(url, _asked([file] * count))


def _asked(queries, **changes):
    small = base64.b64encode(tf.io.encode_png(np.zeros((9, 9, 1), np.uint8)).numpy()).decode()
    inputs = {
        "support_images": [{"b64": small}],
        "support_labels": ["a"],
        "query_images": [{"b64": base64.b64encode(file).decode()} for file in queries],
    }
    return json.dumps({"signature_name": "adapt_and_predict_encoded", "inputs": inputs | changes}).encode()


def _poster(url, body, **headers):
    def send():
        try:
            return str(
                requests.post(
                    f"{url}/v1/models/{NAME}:predict", body, headers=headers, timeout=MOST_SECONDS
                ).status_code
            )
        except requests.ConnectionError:
            return "closed"

    return send


def _json(url):
    size = 15 * _MEGABYTE
    bodies = {
        "15 MB of empty lists": b'{"inputs": [' + b"[]," * (size // 3) + b"[]]}",
        "15 MB of digits": b'{"inputs": [' + b"1," * (size // 2) + b"1]}",
        "one number of 15 MB": b'{"inputs": ' + b"1" * size + b"}",
        "15 MB of strings": b'{"inputs": [' + b'"",' * (size // 3) + b'""]}',
        "15 MB of maps": b'{"inputs": [' + b"{}," * (size // 3) + b"{}]}",
        "15 MB of names": b'{"inputs": {' + b",".join(b'"%d":1' % number for number in range(size // 12)) + b"}}",
        "a million lists in each other": b'{"inputs": ' + b"[" * 10**6 + b"]" * 10**6 + b"}",
        "15 MB of spaces": b" " * size,
        "a million rows": b'{"instances": [' + b"{}," * 10**6 + b"{}]}",
        "a signature of 15 MB": b'{"signature_name": "' + b"s" * size + b'", "inputs": {}}',
        "no UTF-8": b'{"inputs": "\xff\xfe"}',
        "a surrogate": b'{"inputs": "\\ud800"}',
        "1e400": b'{"inputs": {"support_images": 1e400}}',
        "NaN": b'{"inputs": NaN}',
        "17 MB": bytes(17 * _MEGABYTE),
        "nothing": b"",
        "a number": b"1",
        "both": b'{"inputs": {}, "instances": []}',
        "ragged": b'{"inputs": {"support_images": [[1], [2, 3]]}}',
    }
    for name, body in bodies.items():
        yield name, _poster(url, body)
    for name, value in {
        "a map": {}, "null": None, "true": True, "a number": 1, "a list of null": [None], "no base64": [{"b64": "!"}],
        "a map too many": [{"b64": "", "c": 1}], "nested strings": [["a"]], "2,000 strings": ["a"] * 2000,
    }.items():  # fmt: skip
        for place in ("support_images", "support_labels", "query_images"):
            yield f"{place}: {name}", _poster(url, _asked([b""], **{place: value}))


def _http(url):
    address = urlsplit(url)
    start = f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nHost: localhost\r\n".encode()

    def sender(sent, connections=1, wait=5):
        def send():
            made = []
            try:
                for _ in range(connections):
                    made.append(socket.create_connection((address.hostname, address.port), timeout=wait))
                    made[-1].sendall(sent)
                return made[0].recv(100).partition(b"\r\n")[0].decode() or "closed"
            except TimeoutError:
                return f"no answer within {wait} s, left"
            except OSError:
                return "closed"
            finally:
                for each in made:
                    each.close()

        return send

    chunks = b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n" * 10**6 + b"0\r\n\r\n"
    yield "a body in a million chunks", sender(start + chunks, wait=60)
    yield "80 bodies that do not come", sender(start + b"Content-Length: 100\r\n\r\n{", connections=80)
    yield "400 connections that say nothing", sender(b"", connections=400)
    yield "a header that does not end", sender(start + b"X: ", wait=30)
    yield "a header of 10 MB", sender(start + b"X: " + b"x" * 10 * _MEGABYTE + b"\r\n\r\n")
    yield "100,000 headers", sender(start + b"X: y\r\n" * 10**5 + b"\r\n")
    yield "a path of 10 MB", sender(b"GET /" + b"x" * 10 * _MEGABYTE + b" HTTP/1.1\r\n\r\n")
    yield "10,000 requests in a row", sender(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10_000)
    yield "no HTTP", sender(bytes(range(256)) * 100)
    for length in ("-1", "1e3", "99999999999999999999", "1, 2"):
        yield f"Content-Length: {length}", sender(start + f"Content-Length: {length}\r\n\r\n".encode())
    yield "an unknown encoding", _poster(url, b"{}", **{"Content-Encoding": "gzip"})
    yield "another host", _poster(url, b"{}", Host="evil.example")
    yield "a page of another origin", _poster(url, b"{}", Origin="https://evil.example")
    for path in ("%00", "..%2f..%2fetc%2fpasswd", "x" * 10_000, "m/versions/99999999999999999999"):

        def send(path=path):
            return str(requests.get(f"{url}/v1/models/{path}", timeout=MOST_SECONDS).status_code)

        yield f"GET /v1/models/{path[:40]}", send
