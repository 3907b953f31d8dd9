"""Runs signatures of a SavedModel through TensorFlow's C API, as TensorFlow Serving does: no Python of TensorFlow's.

    python run_with_c_api.py LIBRARY SAVED_MODEL REQUESTS.json ANSWERS.json

REQUESTS is a list of `{"inputs": {tensor name: array}, "outputs": [tensor name, ...]}`, an array being
`{"type": DataType number, "shape": [...], "data": hexadecimal, or a list of it for strings}`. ANSWERS has for each
`{"code": TF_Code, "message": ..., "outputs": {tensor name: array}}`.
"""

import ctypes
import json
import sys

TF_STRING = 7
TF_TSTRING_SIZE = 24  # sizeof(TF_TString)


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


_POINTER, _INT, _SIZE, _BYTES = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p
_ENDS = (ctypes.POINTER(Output), ctypes.POINTER(_POINTER), _INT)
_FUNCTIONS = {  # what each returns, and what it takes
    "TF_NewStatus": (_POINTER,),
    "TF_GetCode": (_INT, _POINTER),
    "TF_Message": (_BYTES, _POINTER),
    "TF_NewGraph": (_POINTER,),
    "TF_GraphOperationByName": (_POINTER, _POINTER, _BYTES),
    "TF_NewSessionOptions": (_POINTER,),
    "TF_LoadSessionFromSavedModel": (
        *(_POINTER, _POINTER, _POINTER, _BYTES, ctypes.POINTER(_BYTES), _INT),
        *(_POINTER, _POINTER, _POINTER),
    ),
    "TF_SessionRun": (None, _POINTER, _POINTER, *_ENDS, *_ENDS, _POINTER, _INT, _POINTER, _POINTER),
    "TF_AllocateTensor": (_POINTER, _INT, ctypes.POINTER(ctypes.c_int64), _INT, _SIZE),
    "TF_TensorType": (_INT, _POINTER),
    "TF_NumDims": (_INT, _POINTER),
    "TF_Dim": (ctypes.c_int64, _POINTER, _INT),
    "TF_TensorByteSize": (_SIZE, _POINTER),
    "TF_TensorData": (_POINTER, _POINTER),
    "TF_StringInit": (None, _POINTER),
    "TF_StringCopy": (None, _POINTER, _BYTES, _SIZE),
    "TF_StringGetDataPointer": (_POINTER, _POINTER),
    "TF_StringGetSize": (_SIZE, _POINTER),
}


def load_library(path):
    library = ctypes.CDLL(path)
    for name, (returned, *taken) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returned, taken
    return library


def to_tensor(library, array):
    """A new TF_Tensor."""
    shape, strings = array["shape"], array["type"] == TF_STRING
    data = [bytes.fromhex(item) for item in array["data"]] if strings else bytes.fromhex(array["data"])
    size = len(data) * TF_TSTRING_SIZE if strings else len(data)
    tensor = library.TF_AllocateTensor(array["type"], (ctypes.c_int64 * len(shape))(*shape), len(shape), size)
    start = library.TF_TensorData(tensor)
    if not strings:
        ctypes.memmove(start, data, size)
        return tensor
    for index, item in enumerate(data):
        string = start + index * TF_TSTRING_SIZE
        library.TF_StringInit(string)
        library.TF_StringCopy(string, item, len(item))
    return tensor


def from_tensor(library, tensor):
    """Undoes `to_tensor`."""
    shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
    start, size = library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor)
    kind = library.TF_TensorType(tensor)
    if kind != TF_STRING:
        return {"type": kind, "shape": shape, "data": ctypes.string_at(start, size).hex()}
    strings = range(start, start + size, TF_TSTRING_SIZE)
    items = [ctypes.string_at(library.TF_StringGetDataPointer(at), library.TF_StringGetSize(at)) for at in strings]
    return {"type": kind, "shape": shape, "data": [item.hex() for item in items]}


def main(library_path, saved_model, requests_path, answers_path):
    library = load_library(library_path)
    status, graph = library.TF_NewStatus(), library.TF_NewGraph()
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(
        library.TF_NewSessionOptions(), None, saved_model.encode(), tags, 1, graph, None, status
    )
    if library.TF_GetCode(status):
        sys.exit(library.TF_Message(status).decode())

    def end_points(names):
        parts = [name.split(":") for name in names]
        found = [(library.TF_GraphOperationByName(graph, name.encode()), int(index)) for name, index in parts]
        return (Output * len(found))(*found)

    answers = []
    with open(requests_path) as file:
        requests = json.load(file)
    for request in requests:
        inputs, outputs = request["inputs"], request["outputs"]
        feeds = (ctypes.c_void_p * len(inputs))(*(to_tensor(library, array) for array in inputs.values()))
        fetched = (ctypes.c_void_p * len(outputs))()
        library.TF_SessionRun(
            *(session, None, end_points(inputs), feeds, len(inputs), end_points(outputs), fetched, len(outputs)),
            *(None, 0, None, status),
        )
        code = library.TF_GetCode(status)
        values = {} if code else {n: from_tensor(library, t) for n, t in zip(outputs, fetched, strict=True)}
        answers.append({"code": code, "message": library.TF_Message(status).decode(), "outputs": values})
    assert not any(name.split(".")[0] in ("tensorflow", "keras", "ml_lstm") for name in sys.modules)
    with open(answers_path, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
