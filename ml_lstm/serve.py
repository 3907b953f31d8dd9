"""Serves exported models, like TensorFlow Serving: python -m ml_lstm.serve --model_base_path=MODELS/NAME

With --model=NAME, it exports and serves a model of the zoo. A browser shows a page to try the model.
"""

import ipaddress
import json
import os
from pathlib import Path

from absl import flags, logging
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from ml_lstm.command_line import command, devices
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded, for_tensorflow

FLAGS = flags.FLAGS

# Threads per request: a request decodes four images at the same time, and an operation without a thread waits until
# another request's operation has ended, which may take seconds. With enough threads, the operating system shares the
# cores fairly.
_OPERATIONS = 6


def define_flags() -> None:
    """Defines the flags of `serve`; names shared with tensorflow_model_server have the same meaning."""
    flags.DEFINE_string(
        "model",
        None,
        "A pretrained model of ml_lstm, see docs/zoo.md; or DIR/NAME, written by zoo.add. It is exported once, to a "
        "cache.",
    )
    flags.DEFINE_string("model_base_path", None, "Directory of a model's versions, MODELS/NAME.")
    flags.DEFINE_string("model_name", None, "Name of that model in requests; if unset, the directory's name.")
    flags.DEFINE_string(
        "model_config_file",
        None,
        "File with TensorFlow Serving's ModelServerConfig, for several models, version policies and labels.",
    )
    command.require_one_of("model", "model_base_path", "model_config_file")
    flags.DEFINE_string(
        "host",
        "127.0.0.1",
        "Address to listen on. With an address other than loopback, anyone who can reach it can send requests.",
    )
    flags.DEFINE_integer("rest_api_port", 8501, "Port of the REST interface and the page; 0: any free port.", 0, 65535)
    flags.DEFINE_integer("port", 8500, "Port of the gRPC interface; 0: any free port.", 0, 65535)
    flags.DEFINE_float("file_system_poll_wait_seconds", 1, "Seconds between checks for new versions.", lower_bound=0.01)
    flags.DEFINE_integer("max_request_bytes", 16 * 1024**2, "Maximum size of a request, bytes.", lower_bound=1)
    flags.DEFINE_integer(
        "max_images", 1000, "Maximum number of support images and queries in a request.", lower_bound=1
    )
    flags.DEFINE_integer(
        "max_concurrent", os.cpu_count(), "Maximum number of requests computed at the same time.", lower_bound=1
    )
    flags.DEFINE_integer(
        "max_waiting",
        64,
        "Maximum number of requests that wait to be computed; further requests get the error 429.",
        lower_bound=0,
    )
    flags.DEFINE_float("request_seconds", 60, "Time limit for computing a request, seconds.", lower_bound=0.001)
    flags.DEFINE_list(
        "allowed_hosts",
        None,
        "Names accepted in the Host header of REST requests, without ports; *: any. If unset: the names of the "
        "loopback, or any if --host is not loopback.",
    )
    flags.DEFINE_list(
        "allowed_origins",
        [],
        "Web pages of other servers that may send REST requests, for example https://example.org.",
    )
    flags.DEFINE_boolean("ui", True, "Serve a web page at / of the REST interface.")
    devices.define_flags()


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    try:
        from ml_lstm.serving.server import memory
        from ml_lstm.serving.server.predictor import Limits
        from ml_lstm.serving.server.rest import Callers
        from ml_lstm.serving.server.run import serve
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name.partition('.')[0]} is not installed: pip install 'ml_lstm[serve]'.") from None

    config = _config()
    memory.take_from_system()
    devices.use_as_flagged(work=_work(config), inter_op_threads=_OPERATIONS * FLAGS.max_concurrent)
    if not _is_loopback(FLAGS.host):
        logging.warning(
            "Anyone who can reach %s can send requests: there is no authentication and no encryption.", FLAGS.host
        )
    limits = Limits(
        FLAGS.max_request_bytes, FLAGS.max_images, FLAGS.max_concurrent, FLAGS.max_waiting, FLAGS.request_seconds
    )
    callers = Callers(_allowed_hosts(), FLAGS.allowed_origins)
    serve(
        config,
        limits,
        FLAGS.host,
        FLAGS.rest_api_port,
        FLAGS.port,
        FLAGS.file_system_poll_wait_seconds,
        callers,
        FLAGS.ui,
    )


def _allowed_hosts():
    if FLAGS.allowed_hosts is None:
        return ["localhost", "127.0.0.1", "[::1]", FLAGS.host] if _is_loopback(FLAGS.host) else []
    return [] if "*" in FLAGS.allowed_hosts else [name.lower() for name in FLAGS.allowed_hosts]


def _config():
    config = ModelServerConfig()
    if FLAGS.model_config_file is None:
        name, directory = _one_model()
        config.model_config_list.config.add(name=FLAGS.model_name or name, base_path=str(directory))
        return config
    try:
        text_format.Parse(expanded(FLAGS.model_config_file).read_text(), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UserError(f"{FLAGS.model_config_file} is not a ModelServerConfig: {error}") from None
    for model in config.model_config_list.config:
        if model.base_path:  # without one, the server rejects it
            model.base_path = str(for_tensorflow(model.base_path))
    return config


def _one_model():
    """The model's default name, without `--model_name`, and the directory of its versions."""
    if FLAGS.model is None:
        directory = for_tensorflow(FLAGS.model_base_path).absolute()
        return directory.name, directory
    from ml_lstm import zoo  # imports the methods, which exported models do not need

    return zoo.find(FLAGS.model).name, zoo.kept_export(FLAGS.model)


def _work(config):
    """The workload, from the largest images of the newest versions; None if a version has no image size."""
    sizes = []
    for model in config.model_config_list.config:
        try:
            newest = max(int(path.name) for path in Path(model.base_path).iterdir() if path.name.isdecimal())
            card = json.loads((Path(model.base_path) / str(newest) / "assets.extra" / "model_card.json").read_text())
            sizes += card["image_shape"][:2]
        except (OSError, ValueError, KeyError, TypeError):
            return None
    return devices.Work(max(sizes), side_by_side=FLAGS.max_concurrent) if sizes else None


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.INFO)
    command.run(main)
