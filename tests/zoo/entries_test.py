"""A model of the zoo is that of its run, in half the space, and whole: weights, flags and card."""

import json

import h5py
import keras
import numpy as np
import pytest

from ml_lstm import zoo
from ml_lstm.errors import UserError
from ml_lstm.methods import FewShotClassifier
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.runs.model_card import limits
from ml_lstm.zoo.entries import SHIPPED, find, write_entry
from tests.zoo.tiny import SMALL, WORDS

MOST_BYTES = 8_000_000
RESULTS = SHIPPED.parents[1] / "docs" / "results"


def episode(shape, n_way=3, k_shot=5, seed=0):
    """Support pictures, labels and queries of a problem, each class of its own shade."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_way), k_shot)

    def pictures(of):
        shades = (40 + 170 * of / n_way).astype(int)[:, None, None, None]
        return np.clip(shades + random.integers(-40, 40, (len(of), *shape)), 0, 255).astype(np.uint8)

    return pictures(labels), labels, pictures(np.arange(n_way))


def datasets(entry):
    with h5py.File(entry.path / "weights.weights.h5") as file:
        found = []
        file.visititems(lambda name, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


def test_a_model_answers_as_that_of_its_run(run_and_model, entry):
    _, model = run_and_model
    support, labels, queries = episode(model.problem.image_shape)
    kept = zoo.load(str(entry.path))
    assert isinstance(kept, FewShotClassifier)
    expected = model.classify(model.adapt(support, labels), queries).numpy()
    # Half precision has 11 binary digits.
    np.testing.assert_allclose(kept.classify(kept.adapt(support, labels), queries), expected, rtol=0.02, atol=0.02)


def test_matrices_are_kept_in_half_precision_and_vectors_are_not(entry):
    kinds = {(values.ndim > 1, values.dtype.name) for values in datasets(entry) if values.dtype.kind == "f"}
    assert kinds == {(True, "float16"), (False, "float32")}


def test_what_half_precision_does_not_reach_is_kept_as_it_is(tmp_path):
    large = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, use_bias=False)])
    large.layers[0].kernel.assign([[1e5, 1.0]])
    zoo.entries.save_halved(large, tmp_path / "large.weights.h5")
    large.layers[0].kernel.assign([[0.0, 0.0]])
    large.load_weights(tmp_path / "large.weights.h5")
    assert large.layers[0].kernel.numpy().tolist() == [[1e5, 1.0]]


def test_what_only_training_needs_is_left_out(run_and_model, entry):
    _, model = run_and_model
    head = sum(weight.numpy().size for weight in model.joint_head.weights) if hasattr(model, "joint_head") else 0
    assert head > 0 or model.name != "simple_shot"
    assert sum(values.size for values in datasets(entry)) == sum(w.numpy().size for w in model.weights) - head


def test_to_load_a_model_leaves_random_numbers_as_they_are(entry):
    def drawn(load):
        keras.utils.set_random_seed(1)
        if load:
            zoo.load(str(entry.path))
        return np.random.random()

    assert drawn(load=True) == drawn(load=False)


def test_the_card_says_what_it_was_told_and_what_the_run_tells(run_and_model, entry):
    run, model = run_and_model
    card = zoo.card(str(entry.path))
    assert WORDS.items() <= card.items()
    assert (card["method"], card["most_classes"]) == (run.bound()["method"], model.most_classes)
    assert (card["train_episodes"], card["flags"]) == (4, run.bound())
    assert (card["inner_steps"], card["familiarity"]) == (model.served_inner_steps, False)
    assert any("trained on glyphs" in limit for limit in card["limits"])
    json.dumps(card)


def test_a_model_that_is_not_there_is_one_line_with_those_that_are(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text("{}")
    monkeypatch.setattr(zoo.entries, "SHIPPED", tmp_path)
    assert zoo.names() == ["one", "two"]
    with pytest.raises(UserError, match="The zoo has no model 'photo': there are one, two;"):
        zoo.load("photo")
    with pytest.raises(UserError, match="The zoo has no model ''"):
        zoo.load("")
    with pytest.raises(UserError, match=r"nowhere is not a model of the zoo \(no card.json\)"):
        zoo.load(str(tmp_path / "nowhere"))


def test_the_card_says_whether_answers_have_familiarity(calibrated):
    assert calibrated.card["familiarity"]


@pytest.mark.parametrize("file", ["card.json", "weights.weights.h5", "flags.json"])
def test_a_damaged_file_is_named(file, entry, tmp_path):
    for path in entry.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 20 if path.name == file else None])
    with pytest.raises(UserError, match=f"{file} is damaged"):
        zoo.card(str(tmp_path)), zoo.load(str(tmp_path))


def test_a_name_that_python_could_not_have_is_refused(run_and_model, tmp_path):
    with pytest.raises(UserError, match="--name=My-Model: use small letters"):
        write_entry(run_and_model[0], WORDS, tmp_path / "My-Model")


def test_a_network_from_elsewhere_is_refused(run_and_model, tmp_path):
    problem = run_and_model[1].problem
    values = settings.complete(SMALL | {"method": "simple_shot", "learner": "mobilenet_v3_small", "pretrained": "none"})
    run = RunDirectory(tmp_path / "run")
    run.create(settings.bound(values), problem, "classes")
    with pytest.raises(UserError, match="--learner=mobilenet_v3_small comes from a file or a download"):
        write_entry(run, WORDS, tmp_path / "mine")


@pytest.mark.parametrize(
    ("classes", "told"), [(1200, "training used 1,200 classes at once"), (None, "meta-training had up to 5")]
)
def test_a_jointly_trained_model_says_how_many_classes_if_that_is_known(monkeypatch, classes, told):
    run = find("photos").run
    problem = run.problem()._replace(train_classes=classes)
    monkeypatch.setattr(run, "problem", lambda: problem)
    assert limits(run, zoo.load("photos"))[0] == f"Any number of classes in a support set; {told}."


def test_all_that_ships_is_small():
    assert sum(path.stat().st_size for name in zoo.names() for path in (SHIPPED / name).iterdir()) <= MOST_BYTES


@pytest.mark.parametrize("name", zoo.names())
def test_a_shipped_model_adapts_and_its_card_is_complete(name):
    card, model = zoo.card(name), zoo.load(name)
    shape = model.problem.image_shape
    support, labels, queries = episode(shape, n_way=4)
    assert model.classify(model.adapt(support, labels), queries).shape == (4, 4)
    for field in ("trained_on", "licence", "confidence", "bad_at", "limits", "figures", "train_seconds", "commit"):
        assert card[field], field
    assert card["limits"] == [*limits(find(name).run, model), *card["bad_at"], card["confidence"]]
    for figure in card["figures"]:
        result = json.loads((RESULTS / figure["result"]).read_text())
        assert result["accuracy"] == figure["accuracy"]
        assert result["train_episodes"] == card["train_episodes"]
    calibration = json.loads((RESULTS / card["calibration"]["result"]).read_text())
    assert calibration["tests"] == card["calibration"]["tests"]
    assert {path.name for path in (SHIPPED / name).iterdir()} == {"card.json", "flags.json", "weights.weights.h5"}
