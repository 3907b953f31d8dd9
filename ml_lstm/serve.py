"""Serves exported models as TensorFlow Serving does: python -m ml_lstm.serve --model_base_path=MODELS/NAME

With --model=NAME it is a model of the zoo, exported by itself. A browser is shown a page to try it with.
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

# Threads for a request: it decodes four images at the same time, and an operation that waits for a thread waits until
# one of the others' has ended, seconds perhaps. With enough of them the operating system shares the cores out fairly.
_OPERATIONS = 6


def define_flags() -> None:
    """What `serve` takes; names shared with tensorflow_model_server mean the same."""
    flags.DEFINE_string(
        "model",
        None,
        "A model that comes with ml_lstm, see docs/zoo.md; or DIR/NAME, as zoo.add wrote. It is exported once, to a "
        "cache.",
    )
    flags.DEFINE_string("model_base_path", None, "Directory of a model's versions, MODELS/NAME.")
    flags.DEFINE_string("model_name", None, "What callers name that model; unset: the directory's name.")
    flags.DEFINE_string(
        "model_config_file",
        None,
        "TensorFlow Serving's ModelServerConfig, in place of the others: several models, version policies and labels.",
    )
    command.require_one_of("model", "model_base_path", "model_config_file")
    flags.DEFINE_string(
        "host", "127.0.0.1", "Address to listen at. Beyond the loopback anyone who reaches it is answered."
    )
    flags.DEFINE_integer("rest_api_port", 8501, "Port of REST and the page; 0: any that is free.", 0, 65535)
    flags.DEFINE_integer("port", 8500, "Port of the gRPC interface; 0: any that is free.", 0, 65535)
    flags.DEFINE_float("file_system_poll_wait_seconds", 1, "Seconds between looks for new versions.", lower_bound=0.01)
    flags.DEFINE_integer("max_request_bytes", 16 * 1024**2, "Bytes of a request.", lower_bound=1)
    flags.DEFINE_integer("max_images", 1000, "Support images and queries of a request.", lower_bound=1)
    flags.DEFINE_integer("max_concurrent", os.cpu_count(), "Requests computed at the same time.", lower_bound=1)
    flags.DEFINE_integer(
        "max_waiting", 64, "Requests that wait to be computed; more are refused with 429.", lower_bound=0
    )
    flags.DEFINE_float("request_seconds", 60, "Seconds that one request is computed for.", lower_bound=0.001)
    flags.DEFINE_list(
        "allowed_hosts",
        None,
        "Names in the header Host of REST requests, without ports; *: any. Unset: those of the loopback, or any where "
        "--host is beyond it.",
    )
    flags.DEFINE_list(
        "allowed_origins", [], "Web pages of other servers that may send REST requests, https://example.org say."
    )
    flags.DEFINE_boolean("ui", True, "Show browsers a page, at / of the REST interface.")
    devices.define_flags()


def main() -> None:
    """Serves until it gets SIGTERM or SIGINT."""
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
            "Anyone who reaches %s is answered: there is neither authentication nor encryption.", FLAGS.host
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
        raise UserError(f"{FLAGS.model_config_file} is no ModelServerConfig: {error}") from None
    for model in config.model_config_list.config:
        if model.base_path:  # without one it is refused
            model.base_path = str(for_tensorflow(model.base_path))
    return config


def _one_model():
    """What it is called unless by `--model_name`, and the directory of its versions."""
    if FLAGS.model is None:
        directory = for_tensorflow(FLAGS.model_base_path).absolute()
        return directory.name, directory
    from ml_lstm import zoo  # needs the methods, which what reads exports does without

    return zoo.find(FLAGS.model).name, zoo.kept_export(FLAGS.model)


def _work(config):
    """What threads have to do, by the largest images of the newest versions; None where one does not say."""
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
