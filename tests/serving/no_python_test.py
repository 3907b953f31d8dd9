"""The export runs on TensorFlow's C++ runtime alone, by the calls that TensorFlow Serving makes."""

import numpy as np


def test_every_signature_answers_through_the_c_api_as_in_python(run_in_c, signatures, warm_up):
    for (name, inputs), (code, message, outputs) in zip(warm_up.items(), run_in_c(list(warm_up.items())), strict=True):
        assert code == 0, message
        expected = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
        assert outputs.keys() == expected.keys()
        for key, value in expected.items():
            if value.dtype == object:
                assert outputs[key].tolist() == value.tolist()
            else:
                np.testing.assert_allclose(outputs[key], value, atol=1e-5, err_msg=f"{name}: {key}")
