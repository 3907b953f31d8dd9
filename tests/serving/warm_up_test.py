"""TensorFlow Serving finds a request for every signature, and the signature answers it."""

import numpy as np


def test_each_signature_answers_its_warm_up_request(signatures, warm_up):
    assert sorted(warm_up) == sorted(signatures)
    assert len(warm_up) == 11
    for name, inputs in warm_up.items():
        outputs = signatures[name](**inputs)
        assert all(np.isfinite(value).all() for value in outputs.values() if value.dtype.is_floating)
