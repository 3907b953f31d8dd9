"""Tests of the commands where training is otherwise: not on single episodes, on a schedule, or none at all."""

import json

import pytest

pytestmark = pytest.mark.slow

_FINE_TUNING = ("--method=fine_tuning", "--batch_size=16")
_COSINE = ("--learning_rate_schedule=cosine", "--meta_batch_size=3", "--episodes=24", "--validation_interval=12")
_PIXELS = ("--method=pixel_nearest_neighbour", "--validation_episodes=20")


def _undisturbed_and_killed(commands, runs):
    whole, killed = runs / "whole", runs / "killed"
    first = commands.train(whole, *_FINE_TUNING)
    commands.train_until_killed(killed, commands.interval, 0.1, *_FINE_TUNING)
    return first, commands.train(killed, *_FINE_TUNING), commands.run("evaluate", f"--run_dir={whole}", "--episodes=4")


def _cosine(commands, runs):
    first = commands.train(runs / "whole", *_COSINE)
    commands.train_until_killed(runs / "killed", 12, 0.0, *_COSINE)
    return first, commands.train(runs / "killed", *_COSINE)


def _pixels(commands, runs):
    run = runs / "pixels"
    trained, again = (commands.train(run, *_PIXELS) for _ in range(2))
    evaluated = commands.run("evaluate", f"--run_dir={run}", "--episodes=40")
    return trained, again, evaluated, commands.run("export", f"--run_dir={run}", f"--export_dir={runs / 'models'}")


def _sequences(commands, runs):
    run = runs / "sequences"
    trained = commands.train(run, "--method=mann", "--controller_units=4", "--memory_rows=8", "--episodes=60")
    evaluate = ("evaluate", f"--run_dir={run}", "--episodes=4", "--by_instance", "--n_query=3")
    return trained, commands.run(*evaluate)


def _new_base_learner(commands, runs):
    run = runs / "fast_weights"
    method = ("--method=meta_networks", "--base_learner=convolutions", "--base_filters=4", "--task_examples=1")
    trained = commands.train(run, *method, "--episodes=4", "--validation_interval=4", "--validation_episodes=4")
    evaluate = ("evaluate", f"--run_dir={run}", "--episodes=4")
    return trained, *(commands.run(*evaluate, *more) for more in ((), ("--new_base_filters=8",)))


@pytest.fixture(scope="module")
def ended(commands, tmp_path_factory):
    """`ended(scenario)`: the directory of its runs and how its commands ended; all are under way side by side."""
    scenarios = (_undisturbed_and_killed, _cosine, _pixels, _sequences, _new_base_learner)
    runs = {scenario: tmp_path_factory.mktemp("baselines") for scenario in scenarios}
    futures = {scenario: commands.background(scenario, commands, place) for scenario, place in runs.items()}
    return lambda scenario: (runs[scenario], futures[scenario].result())


def test_joint_training_resumes_to_the_same_bits_its_search_included(ended, saved):
    runs, (first, resumed, evaluated) = ended(_undisturbed_and_killed)
    assert first.status == resumed.status == evaluated.status == 0, first.stderr + resumed.stderr + evaluated.stderr
    assert "Resuming from episode" in resumed.stdout
    found, expected = saved(runs / "killed"), saved(runs / "whole")
    assert any("fine_tuning_rate" in name for name in expected.variables)
    assert found == expected


def test_a_cosine_schedule_resumes_to_the_same_bits(ended, saved):
    runs, (first, resumed) = ended(_cosine)
    assert first.status == resumed.status == 0, resumed.stderr
    assert saved(runs / "killed") == saved(runs / "whole")


def test_joint_training_says_what_the_search_found(ended):
    _, (first, *_) = ended(_undisturbed_and_killed)
    assert first.stdout.count("fine_tuning_rate: ") == first.stdout.count("fine_tuning_decay: ") == 3


def test_a_run_knows_the_number_of_classes_that_it_was_trained_on(ended):
    runs, _ = ended(_undisturbed_and_killed)
    assert json.loads((runs / "whole" / "flags.json").read_text())["images"]["train_classes"] == 800


def test_a_method_without_training_is_validated_once_and_saved(ended):
    runs, (trained, again, *_) = ended(_pixels)
    for finished in (trained, again):
        assert finished.status == 0, finished.stderr
        assert not finished.own_lines
        assert "Meta-trained for 0 episodes" in finished.stdout
        assert "Resuming" not in finished.stdout
    assert "val_accuracy" not in again.stdout
    assert [path.stem for path in (runs / "pixels" / "checkpoints").glob("*.index")] == ["episode-0"]
    assert (runs / "pixels" / "episodes").is_dir()


def test_a_method_without_training_is_evaluated_and_exported(ended):
    runs, (*_, evaluated, exported) = ended(_pixels)
    assert evaluated.status == exported.status == 0, evaluated.stderr + exported.stderr
    result = json.loads((runs / "pixels" / "evaluate-glyphs-test-5way-1shot-2query-40episodes.json").read_text())
    assert (result["method"], result["train_episodes"]) == ("pixel_nearest_neighbour", 0)
    assert result["accuracy"] > 0.25  # chance is 0.2
    assert (runs / "models" / "1" / "saved_model.pb").exists()


def test_a_memory_is_evaluated_at_each_instance_of_a_class(ended):
    runs, (trained, evaluated) = ended(_sequences)
    assert trained.status == evaluated.status == 0, trained.stderr + evaluated.stderr
    result = json.loads(
        (runs / "sequences" / "evaluate-glyphs-test-5way-1shot-3query-4episodes-by_instance.json").read_text()
    )
    assert len(result["instance_accuracies"]) == len(result["instance_confidence_intervals_95"]) == 4
    assert "Accuracy at each instance of a class, %: " in evaluated.stdout
    assert list((runs / "sequences" / "instances").glob("events.out.tfevents.*"))


def test_a_base_learner_is_replaced_for_an_evaluation(ended):
    runs, finished = ended(_new_base_learner)
    assert all(each.status == 0 for each in finished), [each.stderr for each in finished]
    files = sorted((runs / "fast_weights").glob("evaluate-*.json"))
    assert [path.stem.rpartition("episodes")[2] for path in files] == ["-new_base_8", ""]
    replaced, trained = (json.loads(path.read_text()) for path in files)
    assert (replaced["new_base_filters"], replaced["flags"]) == (8, trained["flags"])
    assert "new_base_filters" not in trained
