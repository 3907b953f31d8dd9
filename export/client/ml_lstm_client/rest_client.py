"""The client for TensorFlow Serving's REST API, which does not need TensorFlow."""

import base64
import json
import random
import re
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ml_lstm_client.client import Client, ServingError, sentence

_LONGEST_PAUSE_SECONDS = 30
_TOO_LARGE = 413
_LARGE = 2**20


class RestClient(Client):
    """A few-shot model behind TensorFlow Serving's REST API.

    Args:
        url: URL of the server, without the path.
        model: the model's name on the server.
        version: version of the model; by default the server's choice, the newest.
        label: label of a version in the server's configuration, instead of `version`.
        timeout: seconds to wait for the connection, and for the answer, each time that a request is sent.

    Raises:
        ValueError: if `url` is not valid, both `version` and `label` are given, or `timeout` is not positive.
    """

    def __init__(
        self,
        url: str = "http://localhost:8501",
        model: str = "few_shot",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ):
        super().__init__(url, model, version, label, timeout)
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://; got {url!r}.")
        self._url = f"{url.rstrip('/')}/v1/models/{quote(model, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        if label is not None:
            self._url += f"/labels/{quote(label, safe='')}"
        self._session = requests.Session()
        patience = _Patience(
            total=None,
            connect=0,
            read=False,  # otherwise a timeout would look like a lost connection
            other=0,
            status=self._attempts - 1,
            allowed_methods=None,
            status_forcelist=(429, 503),
            backoff_factor=self._first_pause_seconds,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=patience))

    def close(self) -> None:
        self._session.close()

    def _pictures(self, images):
        return [_in_base64(image) for image in images]

    def _names(self, texts):
        return [_name(text) for text in texts]

    def _texts(self, names):
        return [_text(name) for name in names]

    def _rows(self, probabilities):
        return probabilities

    def _outputs(self, signature, inputs):
        body = json.dumps({"signature_name": signature, "inputs": inputs})
        return self._answer("POST", ":predict", "outputs", body)

    def _told_card(self):
        card = self._answer("GET", "/metadata", "metadata").get("model_card")
        return card if isinstance(card, dict) else {}

    def _answer(self, method, path, member, body=None):
        response = self._response(method, self._url + path, body)
        try:
            # TensorFlow Serving returns the bytes of a class name unchanged, even if they are not UTF-8.
            answer = json.loads(response.content.decode(errors="surrogateescape"))
            if not response.ok:
                raise ServingError(sentence(answer["error"]), response.status_code)
            return dict(answer[member])
        except (ValueError, KeyError, TypeError):
            if response.status_code == _TOO_LARGE:  # by a proxy, perhaps
                raise ServingError(f"{response.status_code} {response.reason}", _TOO_LARGE) from None
            raise ServingError(
                f"{self._url}{path} answered {response.status_code} {response.reason}, not like TensorFlow Serving: "
                "check the address, and that the port is that of REST.",
                None if response.ok else response.status_code,
            ) from None

    def _response(self, method, url, body):
        try:
            return self._session.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,  # a POST would arrive as a GET
            )
        except requests.Timeout:
            raise ServingError(
                f"{self._where} did not answer within {self._timeout:g} s: send fewer images, or wait longer.", 504
            ) from None
        except requests.ConnectionError as error:
            if body and len(body) > _LARGE and _hung_up(error):
                # Some servers close the connection while they receive a request that is too large.
                raise ServingError(
                    f"{self._where} closed the connection while the request was sent", _TOO_LARGE
                ) from None
            raise ServingError(
                f"{self._where} cannot be reached ({_reason(error)}): check the address, and that the server runs.",
                503,
            ) from None
        except requests.RequestException as error:
            raise ServingError(f"{self._where}: {_reason(error)}", None) from None


class _Patience(Retry):
    """Waits as long as the server says, up to a limit; without the server's advice, with growing pauses."""

    def get_backoff_time(self):
        return self.backoff_factor * 2 ** (len(self.history) - 1) * random.uniform(0.5, 1.5)

    def get_retry_after(self, response):
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _LONGEST_PAUSE_SECONDS)


def _in_base64(contents):
    return {"b64": base64.b64encode(contents).decode()}


def _name(text):
    contents = text.encode(errors="surrogateescape")
    try:
        return contents.decode()
    except UnicodeDecodeError:
        return _in_base64(contents)


def _text(name):
    if isinstance(name, dict):
        return base64.b64decode(name["b64"]).decode(errors="surrogateescape")
    return name


def _hung_up(error):
    """Whether an established connection was closed."""
    return re.search("Broken pipe|Connection reset|Remote end closed", _reason(error)) is not None


def _reason(error):
    """The innermost cause: the operating system's message, without the objects of the connection."""
    while error.args and isinstance(inner := getattr(error.args[0], "reason", error.args[0]), Exception):
        error = inner
    words = " ".join(str(error.args[-1] if error.args else error).split())
    if not words.isprintable():
        return "the answer is not HTTP"
    return re.sub(r"^HTTPS?Connection(Pool)?\(.*?\): ", "", words)
