"""Measures the accuracy of a served model: python export/evaluate_served.py --run_dir=RUN --url=URL

It samples the meta-test episodes of `ml_lstm.evaluate`, sends each to the server as image files by REST, and compares
the accuracy with the result of `ml_lstm.evaluate` for the run.
"""

import shlex
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags, logging

from ml_lstm.command_line import command, records
from ml_lstm.errors import UserError
from ml_lstm.evaluation import Accuracy
from ml_lstm.runs import RunDirectory, settings
from ml_lstm_client import RestClient, ServingError

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags."""
    flags.DEFINE_string("run_dir", None, "Directory of the run from which the model was exported.", required=True)
    flags.DEFINE_string("url", "http://localhost:8501", "URL of the server's REST API.")
    flags.DEFINE_string("model", "few_shot", "Name of the model on the server.")
    flags.DEFINE_integer("episodes", 200, "Number of episodes to send.", lower_bound=2)
    flags.DEFINE_string("json", None, "File to write the result to.")
    settings.define_flags(only_free=True, but=("episodes", "validate_train_classes"))


def main() -> None:
    """Prints both accuracies."""
    run = RunDirectory(FLAGS.run_dir)
    setting = run.values(**settings.given())
    problem = {name: setting[name] for name in ("dataset", "n_way", "k_shot", "n_query")}
    evaluated = [
        result
        for result in run.evaluations()
        if result["split"] == "test"
        and not result["transductive_batch_norm"]
        and all(result[name] == value for name, value in problem.items())
    ]
    if not evaluated:
        raise UserError(
            f"{run.path} was not evaluated on its own problem: run "
            f"python -m ml_lstm.evaluate --run_dir={shlex.quote(str(run.path))}"
        )
    data = settings.load_data(setting, test_episodes=FLAGS.episodes)
    started = time.monotonic()
    with RestClient(FLAGS.url, FLAGS.model) as client:
        try:
            accuracies = [_accuracy(client, episode) for episode in data.test]
        except ServingError as error:
            raise UserError(str(error)) from None
    served = Accuracy.of(np.array(accuracies))
    result = problem | {
        "accuracy": served.mean,
        "confidence_interval_95": served.confidence_interval_95,
        "episodes": FLAGS.episodes,
        "wall_seconds": round(time.monotonic() - started, 1),
        "evaluate": {name: evaluated[0][name] for name in ("accuracy", "confidence_interval_95", "episodes")},
        "flags": run.bound(),
        "commit": records.commit(),
    }
    print(f"served:   {_words(result)}\nevaluate: {_words(result['evaluate'])}")
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), result)


def _accuracy(client, episode):
    classes = [f"class {label}" for label in episode.support_labels]
    answers = client.adapt_and_predict(_files(episode.support_images), classes, _files(episode.query_images))
    right = [answer.prediction == f"class {label}" for answer, label in zip(answers, episode.query_labels, strict=True)]
    return np.mean(right)


def _files(images):
    return [tf.io.encode_png(image).numpy() for image in images]


def _words(result):
    return (
        f"{100 * result['accuracy']:.2f} % ± {100 * result['confidence_interval_95']:.2f} "
        f"(95 % interval of the mean, {result['episodes']} episodes)"
    )


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
