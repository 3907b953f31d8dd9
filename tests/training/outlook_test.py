"""What a run says of itself after each epoch."""

import time
from types import SimpleNamespace

import pytest

from ml_lstm.training import Outlook, Progress
from ml_lstm.training.outlook import in_words


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.seconds)
    return now


def told(clock, capsys, start, accuracies, episodes=100, steps=10, before=()):
    """Lines of epochs of so many meta-steps of 2 episodes, a second each; the first one of all takes a minute."""
    progress = Progress()
    progress.validations += before
    model = SimpleNamespace(optimizer=SimpleNamespace(iterations=start))
    outlook = Outlook(progress, episodes, 2)
    outlook.set_model(model)
    for epoch, accuracy in enumerate(accuracies):
        for batch in range(steps):
            clock.seconds += 1 if epoch or batch else 60
            model.optimizer.iterations += 1
            outlook.on_train_batch_end(batch)
        progress.validations.append((2 * model.optimizer.iterations, accuracy))
        outlook.on_epoch_end(epoch)
    return capsys.readouterr().out.splitlines()


def test_each_epoch_has_a_line_that_says_how_far_the_whole_run_is(clock, capsys):
    assert told(clock, capsys, 0, [0.5, 0.75, 0.75, 0.25, 0.7]) == [
        "Episode 20 of 100 (20 %), 40 s left; best meta-validation accuracy 50.0 % at episode 20.",
        "Episode 40 of 100 (40 %), 30 s left; best meta-validation accuracy 75.0 % at episode 40.",
        "Episode 60 of 100 (60 %), 20 s left; best meta-validation accuracy 75.0 % at episode 40.",
        "Episode 80 of 100 (80 %), 10 s left; best meta-validation accuracy 75.0 % at episode 40.",
        "Episode 100 of 100 (100 %); best meta-validation accuracy 75.0 % at episode 40.",
    ]


def test_before_the_first_step_it_says_how_much_there_is_to_do(capsys):
    outlook = Outlook(Progress(), 101, 2)
    outlook.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=30)))
    outlook.on_train_begin()
    assert capsys.readouterr().out.startswith("Meta-training for 42 episodes. ")


def test_a_resumed_run_goes_by_its_own_rate_and_knows_what_was_before(clock, capsys):
    (line,) = told(clock, capsys, 30, [0.5], before=[(20, 0.9), (40, 0.6), (60, 0.6)])
    assert line == "Episode 80 of 100 (80 %), 10 s left; best meta-validation accuracy 90.0 % at episode 20."


def test_of_a_first_step_there_is_no_rate_yet(clock, capsys):
    (line,) = told(clock, capsys, 0, [0.5], steps=1)
    assert line == "Episode 2 of 100 (2 %); best meta-validation accuracy 50.0 % at episode 2."


def test_a_last_meta_batch_that_goes_beyond_counts_whole(clock, capsys):
    assert told(clock, capsys, 0, [0.5], episodes=19)[0].startswith("Episode 20 of 20 (100 %); ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (89.4, "89 s"), (90, "2 min"), (3569, "59 min"), (3571, "1 h 0 min"), (12_000, "3 h 20 min")],
)
def test_a_time_is_told_as_one_would(seconds, words):
    assert in_words(seconds) == words
