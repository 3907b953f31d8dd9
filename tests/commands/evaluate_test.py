"""Tests of `evaluate`: what its JSON holds, that it repeats, and its variants."""

import json
import os
import pty
import shutil
import termios
import threading

import pytest
from PIL import Image

from ml_lstm import evaluation
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.training import Progress

_KEYS = {
    *("accuracy", "confidence_interval_95", "episodes", "n_way", "k_shot", "n_query", "dataset", "split"),
    *("method", "seed", "flags", "commit", "train_episodes", "train_seconds", "device"),
}
_PLAIN = "evaluate-glyphs-test-5way-1shot-2query-40episodes.json"
_TRANSDUCTIVE = "evaluate-glyphs-test-5way-1shot-2query-40episodes-transductive.json"


def _evaluate(commands, run, *more):
    return commands.run("evaluate", f"--run_dir={run}", "--episodes=40", *more)


def _fallen_back(commands, run, trained):
    """Two best checkpoints of which the newer is damaged."""
    shutil.copytree(trained, run)
    best = run / "checkpoints"
    newest = max(int(path.stem.split("-")[1]) for path in best.glob("*.index"))
    for path in best.glob(f"episode-{newest}.*"):
        shutil.copy(path, best / f"episode-{newest - 1}{path.suffix}")
    index = best / f"episode-{newest}.index"
    index.write_bytes(index.read_bytes()[:100])
    return newest, _evaluate(commands, run)


def _coloured(commands, run, trained, pictures):
    """A run trained on grey images, evaluated on colour photographs of three classes."""
    shutil.copytree(trained, run)
    for split in ("train", "val", "test"):
        for number, colour in enumerate([(250, 20, 20), (20, 250, 20), (20, 20, 250)]):
            directory = pictures / split / f"{split} {number}"
            directory.mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (30, 20 + index), colour).save(directory / f"{index}.png")
    return _evaluate(commands, run, "--dataset=folder", f"--data_dir={pictures}", "--n_way=3")


def _all_classes(commands, run, trained, pictures):
    """A run evaluated on all classes of two folders that nobody split, two in each."""
    shutil.copytree(trained, run)
    ended = []
    for place in (pictures / "one", pictures / "other"):
        for name in "ab":
            (place / name).mkdir(parents=True)
            for shade in range(3):
                Image.new("L", (20, 20), 70 * shade).save(place / name / f"{shade}.png")
        ended.append(_evaluate(commands, run, "--dataset=folder", f"--data_dir={place}", "--split=all", "--n_way=2"))
    return *ended, _evaluate(commands, run, "--split=all")


@pytest.fixture(scope="module")
def evaluations(commands, trained, tmp_path_factory):
    """`(run, how each evaluation ended)`: twice the same, fewer classes, transductive, damaged, other data."""
    directory = tmp_path_factory.mktemp("evaluated")
    run, again = (shutil.copytree(trained, directory / name) for name in ("run", "again"))
    futures = {
        "plain": commands.background(_evaluate, commands, run),
        "again": commands.background(_evaluate, commands, again, f"--json={directory / 'again.json'}"),
        "three": commands.background(_evaluate, commands, run, "--n_way=3", "--split=val"),
        "transductive": commands.background(_evaluate, commands, run, "--transductive_batch_norm"),
        "alphabets": commands.background(_evaluate, commands, run, "--within_alphabets"),
        "coloured": commands.background(
            _coloured, commands, directory / "coloured", trained, tmp_path_factory.mktemp("pictures")
        ),
        "all classes": commands.background(
            _all_classes, commands, directory / "all", trained, tmp_path_factory.mktemp("unsplit")
        ),
        "fallen back": commands.background(_fallen_back, commands, directory / "damaged", trained),
    }
    return directory, {name: future.result() for name, future in futures.items()}


def _result(evaluations, run, name):
    return json.loads((evaluations[0] / run / name).read_text())


def test_json_holds_what_a_result_needs(evaluations, trained):
    result = _result(evaluations, "run", _PLAIN)
    assert result.keys() >= _KEYS
    assert 0 <= result["accuracy"] <= 1
    assert 0 < result["confidence_interval_95"] < 0.5
    expected = {"episodes": 40, "n_way": 5, "k_shot": 1, "n_query": 2, "dataset": "glyphs", "split": "test"}
    assert {name: result[name] for name in expected} == expected
    assert (result["method"], result["seed"]) == ("meta_lstm", 0)
    assert result["flags"] == json.loads((trained / "flags.json").read_text())["flags"]
    assert (trained / "checkpoints" / f"episode-{result['train_episodes']}.index").exists()
    assert result["train_seconds"] > 0


def test_screen_shows_accuracy_and_file(evaluations):
    finished = evaluations[1]["plain"]
    assert finished.status == 0
    accuracy = 100 * _result(evaluations, "run", _PLAIN)["accuracy"]
    assert f"5-way 1-shot, 40 episodes: accuracy {accuracy:.2f} % ±" in finished.stdout
    assert _PLAIN in finished.stdout


def test_data_without_alphabets_are_not_tested_within_them(evaluations):
    line = evaluations[1]["alphabets"].refusal()
    assert "The test split has no alphabets: use --nowithin_alphabets" in line


def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(commands, trained_copy, evaluations):
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    shown = []

    def read():
        try:
            while part := os.read(master, 65536):
                shown.append(part)
        except OSError:  # how a terminal says that nobody writes to it any more
            pass

    reader = threading.Thread(target=read)
    reader.start()
    process = commands.start("evaluate", f"--run_dir={trained_copy}", "--episodes=40", stderr=terminal)
    os.close(terminal)
    process.communicate()
    reader.join()
    os.close(master)
    assert process.returncode == 0
    assert b"Evaluating:" in b"".join(shown) and b"/40 [" in b"".join(shown)
    assert "Evaluating" not in evaluations[1]["plain"].stderr + evaluations[1]["plain"].stdout


def test_same_command_gives_the_same_numbers(evaluations):
    first, second = _result(evaluations, "run", _PLAIN), _result(evaluations, ".", "again.json")
    for result in (first, second):
        del result["evaluate_seconds"]
    assert first == second


def test_a_result_with_a_file_of_its_own_is_not_among_those_of_the_run(evaluations):
    directory, ended = evaluations
    assert f"written to {directory / 'again.json'}" in ended["again"].stdout
    assert not list((directory / "again").glob("evaluate-*"))


def test_fewer_classes_than_trained_are_evaluated(evaluations):
    assert evaluations[1]["three"].status == 0, evaluations[1]["three"].stderr
    result = _result(evaluations, "run", "evaluate-glyphs-val-3way-1shot-2query-40episodes.json")
    assert (result["n_way"], result["split"]) == (3, "val")
    # Trained or not, a guess among three is right in a third of cases: with one class masked wrongly it is not.
    assert result["accuracy"] > 0.2


def test_transductive_batch_norm_has_its_own_file_and_answers(evaluations):
    assert evaluations[1]["transductive"].status == 0
    plain, transductive = (_result(evaluations, "run", name) for name in (_PLAIN, _TRANSDUCTIVE))
    assert (plain["transductive_batch_norm"], transductive["transductive_batch_norm"]) == (False, True)
    assert (plain["accuracy"], plain["percentiles"]) != (transductive["accuracy"], transductive["percentiles"])


def test_damaged_best_checkpoint_is_said_and_the_one_before_used(evaluations):
    newest, finished = evaluations[1]["fallen back"]
    assert finished.status == 0, finished.stderr
    (line,) = finished.own_lines
    assert f"episode-{newest} is damaged" in line
    assert _result(evaluations, "damaged", _PLAIN)["train_episodes"] == newest - 1


def test_a_run_trained_on_grey_images_is_tested_on_coloured_ones_and_it_is_said(evaluations):
    finished = evaluations[1]["coloured"]
    assert finished.status == 0, finished.stderr
    assert "trained on images of 1 channel(s): folder is converted to grey" in finished.stdout
    (path,) = (evaluations[0] / "coloured").glob("evaluate-folder-*-test-3way-1shot-2query-40episodes.json")
    result = json.loads(path.read_text())
    assert (result["dataset"], result["flags"]["dataset"]) == ("folder", "glyphs")


def test_all_classes_of_a_folder_are_tested_without_splits_each_folder_with_its_own_file(evaluations):
    *both, refused = evaluations[1]["all classes"]
    for finished in both:
        assert finished.status == 0, finished.stderr
    results = [
        json.loads(path.read_text()) for path in sorted((evaluations[0] / "all").glob("evaluate-folder-*-all-2way-*"))
    ]
    assert sorted(result["data_dir"].rpartition("/")[2] for result in results) == ["one", "other"]
    assert {result["split"] for result in results} == {"all"}
    assert "classes that the run was trained on: choose other data with --dataset" in refused.refusal()


def test_on_meta_train_classes_the_problem_is_that_of_the_test(commands, tmp_path):
    chosen = {"method": "prototypical", "filters": 2, "image_size": 16, "n_query": 2, "train_n_way": 9}
    values = settings.complete(chosen | {"augment": "affine"})
    data, run = settings.load_data(values), RunDirectory(tmp_path / "run")
    run.create(settings.bound(values), data.problem, data.class_digest())
    method = settings.build_method(values, data.problem)
    run.backup(model=method, progress=Progress()).save(0)
    finished = commands.run("evaluate", f"--run_dir={run.path}", "--split=train", "--episodes=40")
    assert finished.status == 0, finished.stderr
    (result,) = run.evaluations()
    accuracies = evaluation.episode_accuracies(method, data.evaluation_sampler("train").dataset(count=40))
    assert (result["split"], result["n_way"]) == ("train", 5)
    assert result["accuracy"] == pytest.approx(accuracies.mean(), abs=1e-6)
