"""When a run saves, keeps the best, searches, and stops by itself."""

from types import SimpleNamespace

import pytest

from ml_lstm.training import Progress, SaveProgress, Tune


class Store:
    """Remembers which episode numbers were saved."""

    def __init__(self):
        self.saved = []

    def save(self, number):
        self.saved.append(number)


def validated(accuracies, early_stopping):
    """What is left after epochs of 10 meta-steps, 2 episodes each, that ended with these accuracies."""
    backup, best, progress = Store(), Store(), Progress()
    callback = SaveProgress(backup, best, progress, meta_batch_size=2, early_stopping=early_stopping)
    model = SimpleNamespace(optimizer=SimpleNamespace(iterations=0), stop_training=False)
    callback.set_model(model)
    for epoch, accuracy in enumerate(accuracies):
        model.optimizer.iterations += 10
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy})
        if model.stop_training:
            break
    return backup.saved, best.saved, progress


def test_every_epoch_is_saved_and_the_best_kept():
    backup, best, progress = validated([0.5, 0.7, 0.6, 0.7, 0.8], early_stopping=0)
    assert backup == [20, 40, 60, 80, 100]
    assert best == [20, 40, 100]
    assert progress.validations == [(20, 0.5), (40, 0.7), (60, 0.6), (80, 0.7), (100, 0.8)]


@pytest.mark.parametrize(("patience", "last"), [(0, 120), (1, 60), (2, 80), (3, 120)])
def test_training_stops_after_so_many_validations_without_a_better_one(patience, last):
    backup, _, _ = validated([0.5, 0.7, 0.6, 0.7, 0.8, 0.1], early_stopping=patience)
    assert backup[-1] == last


def test_patience_counts_on_after_a_resume():
    _, _, progress = validated([0.5, 0.7, 0.6], early_stopping=0)
    again = Progress()
    again.deserialize(progress.serialize())
    assert again.validations_since_best == progress.validations_since_best == 1
    assert again.best_accuracy == 0.7


def test_a_curve_on_meta_train_classes_outlasts_a_resume_and_older_runs_have_none():
    progress = Progress()
    progress.validations, progress.train_classes = [(20, 0.5), (40, 0.7)], [(40, 0.9)]
    again, older = Progress(), Progress()
    again.deserialize(progress.serialize())
    assert (again.validations, again.train_classes) == ([(20, 0.5), (40, 0.7)], [(40, 0.9)])
    older.deserialize('{"seconds": 1, "validations": [[20, 0.5]]}')
    assert (older.validations, older.train_classes) == ([(20, 0.5)], [])


def test_a_method_searches_on_the_validation_episodes_before_each_validation():
    seen, logs, episodes = [], {"val_accuracy": 0.5}, object()

    def tune(given):
        seen.append(given)
        return {"rate": 0.1 * len(seen)}

    callback = Tune(episodes)
    callback.set_model(SimpleNamespace(tune=tune))
    for _ in range(2):
        callback.on_test_begin()
        callback.on_epoch_end(0, logs)
    assert seen == [episodes] * 2
    assert logs == {"val_accuracy": 0.5, "rate": 0.2}
