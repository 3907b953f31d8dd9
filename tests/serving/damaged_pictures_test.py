"""A damaged picture is refused by its index, in the words of whoever can tell it, and by whichever way it was sent."""

import io
import zlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml_lstm_client import GrpcClient, RestClient

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8))


def written(kind, **settings):
    file = io.BytesIO()
    NOISE.save(file, kind, **settings)
    return file.getvalue()


PNG, JPEG, GIF, BMP = (written(kind) for kind in ("PNG", "JPEG", "GIF", "BMP"))


def changed(contents, at, new):
    return contents[:at] + new + contents[at + len(new) :]


def other_pixels(contents, pixels):
    """A PNG with something else for the stream of its pixels, and right sums."""
    at = contents.index(b"IDAT")
    chunk = b"IDAT" + pixels
    end = contents.index(b"IEND") - 4
    return (
        contents[: at - 4]
        + len(pixels).to_bytes(4, "big")
        + chunk
        + zlib.crc32(chunk).to_bytes(4, "big")
        + contents[end:]
    )


DAMAGED = {
    "PNG, cut": PNG[:-200],
    "PNG, cut in its header": PNG[:30],
    "PNG, wrong sum": changed(PNG, PNG.index(b"IDAT") + 50, b"\0\1\2"),
    "PNG, no zlib stream": other_pixels(PNG, b"not compressed" * 10),
    "PNG, too few pixels": other_pixels(PNG, zlib.compress(bytes(91 * 20))),
    "PNG, no pixels": other_pixels(PNG, b""),
    "JPEG, cut": JPEG[:-200],
    "JPEG, cut in its header": JPEG[:30],
    "JPEG, no beginning of the pixels": JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9",
    "GIF, cut": GIF[:-200],
    "GIF, pixels end early": GIF[:-200] + b"\0;",
    "GIF, no code": changed(GIF, GIF.rindex(b"\x2c\0\0\0\0") + 11, b"\x08\x03\xff\xff\xff\0;"),
    "BMP, cut": BMP[:-200],
    "nothing": b"",
    "no picture": b"words",
}
GOOD = [written("PNG"), written("JPEG"), written("BMP"), written("GIF")]
LABELS = ["a", "b", "a", "b"]


@pytest.fixture(
    params=[
        "adapt_encoded",
        "adapt_and_predict_encoded: support",
        "adapt_and_predict_encoded: queries",
        "predict_encoded",
    ]
)
def sent(request, signatures):
    """Maps a picture to a signature, inputs with the picture among them, third or second, and the words for it."""

    def make(picture):
        support, queries = [*GOOD[:2], picture, GOOD[3]], [GOOD[0], picture, GOOD[2]]
        match request.param:
            case "adapt_encoded":
                return (
                    "adapt_encoded",
                    {"support_images": support, "support_labels": LABELS},
                    "support_images: the image at index 2 ",
                )
            case "predict_encoded":
                kept = signatures["adapt_encoded"](support_images=tf.constant(GOOD), support_labels=tf.constant(LABELS))
                kept = {name: value.numpy() for name, value in kept.items()}
                return "predict_encoded", kept | {"query_images": queries}, "query_images: the image at index 1 "
            case "adapt_and_predict_encoded: support":
                inputs = {"support_images": support, "support_labels": LABELS, "query_images": GOOD}
                return "adapt_and_predict_encoded", inputs, "support_images: the image at index 2 "
        inputs = {"support_images": GOOD, "support_labels": LABELS, "query_images": queries}
        return "adapt_and_predict_encoded", inputs, "query_images: the image at index 1 "

    return make


def as_arrays(inputs):
    return {
        name: np.array([item.encode() if isinstance(item, str) else item for item in value], object)
        if isinstance(value, list)
        else value
        for name, value in inputs.items()
    }


@pytest.mark.parametrize("name", DAMAGED)
def test_both_protocols_name_a_damaged_picture_by_its_index(name, sent, rest, grpc_predict):
    signature, inputs, words = sent(DAMAGED[name])
    by_rest = {
        key: [item.decode() for item in value] if isinstance(value, np.ndarray) and value.dtype == object else value
        for key, value in inputs.items()
    }
    status, answer = rest(signature, by_rest)
    assert status == 400
    assert answer["error"].startswith(words)
    assert answer["error"].endswith(".")
    with pytest.raises(grpc.RpcError) as error:
        grpc_predict(signature, as_arrays(inputs))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == answer["error"]


def test_the_saved_model_itself_refuses_them_all_and_tells_which_ones_they_are(signatures):
    pictures = [GOOD[0], *DAMAGED.values(), GOOD[1]]
    for damaged in DAMAGED.values():
        with pytest.raises(tf.errors.InvalidArgumentError):
            signatures["adapt_encoded"](support_images=tf.constant([damaged]), support_labels=tf.constant(["a"]))
    unreadable = signatures["check_encoded"](query_images=tf.constant(pictures))["unreadable"].numpy()
    assert unreadable.tolist() == list(range(1, len(pictures) - 1))


def test_the_client_asks_nothing_twice_for_it(server):
    """What the server names, `ml_lstm_client` takes its word for."""
    for client in (RestClient(server.url, "m"), GrpcClient(server.grpc, "m")):
        with client, pytest.raises(Exception, match="support_images: the image at index 1 is damaged") as error:
            client.adapt([GOOD[0], DAMAGED["PNG, wrong sum"]], ["a", "b"])
        assert error.value.code == 400
