"""Tests of what a user can get wrong: one line that says what and what to do, and nothing is written."""

import ctypes
import os
import re
import shutil
from pathlib import Path

import pytest

from tests import forks

_REPOSITORY = Path(__file__).parents[2]
_TFDS = Path(os.environ.get("ML_LSTM_DATA_DIR") or _REPOSITORY.parent / "shared/data/tfds")


def _run_all(commands, here):
    """Runs modules with their arguments in the directory `here`: `(status, stderr)` of each."""
    ended = [forks.run(*words, cwd=here) for words in commands]
    return [(one.returncode, one.stderr) for one in ended]


# Flags beside --run_dir=run, and what the line must say.
_WRONG_FLAGS = {
    "--dataset=imagenet": r"--dataset=imagenet.*glyphs.*omniglot",
    "--method=svm": r"--method=svm.*meta_lstm",
    "--cell=lstm": r"--cell=lstm.*meta_lstm",
    "--learner=resnet": r"--learner=resnet.*conv4",
    "--episode=10": r"Unknown command line flag 'episode'. Did you mean: episodes",
    "stray": r"'stray' is not a flag: write --name=value",
    "--flagfile=missing.flags": r"missing\.flags",
    "--run_dir=": r"--run_dir=:? .*directory",
    "--episodes=ten": r"--episodes=ten.*whole number",
    "--episodes=0": r"--episodes=0.*at least 1",
    "--n_way=1": r"--n_way=1.*2",
    "--k_shot=0": r"--k_shot=0.*at least 1",
    "--n_query=0": r"--n_query=0.*at least 1",
    "--learning_rate=-1": r"--learning_rate=-1.*positive",
    "--learning_rate=inf": r"--learning_rate=inf.*finite",
    "--inner_gradient_scale=nan": r"--inner_gradient_scale=nan.*finite",
    "--meta_batch_size=0": r"--meta_batch_size=0.*at least 1",
    "--batch_size=0": r"--batch_size=0.*at least 1",
    "--inner_steps=0": r"--inner_steps=0.*at least 1",
    "--inner_steps=-3": r"--inner_steps=-3.*at least 1",
    "--clip_norm=0": r"--clip_norm=0.*positive",
    "--image_size=8": r"--image_size=8.*16",
    "--validation_interval=0": r"--validation_interval=0.*at least 1",
    "--seed=-1": r"--seed=-1.*0",
    "--seed=4294967296": r"--seed=4294967296.*4294967295",
    "--input_gate_bias=1": r"--input_gate_bias=.*low,high",
    "--input_gate_bias=2,1": r"--input_gate_bias=.*low,high",
    "--input_gate_bias=a,b": r"--input_gate_bias=.*low,high",
    "--cell_learning_rate=0": r"--cell_learning_rate=0.*positive",
    "--hidden_units=-1": r"--hidden_units=-1.*at least 0",
    "--forget_gate_bias=4,inf": r"--forget_gate_bias=.*low,high",
    "--inner_learning_rate=0": r"--inner_learning_rate=0.*positive",
    "--method=reptile --second_order": r"--second_order is not for --method=reptile; it is for.*leave it out",
    "--method=maml --cell=gru": r"--cell is not for --method=maml; it is for --method=meta_lstm",
    "--method=mann --memory_rows=8 --read_heads=9": r"read_heads must not be more than memory_rows",
    "--strategy=horovod": r"--strategy=horovod.*mirrored",
    "--devices=tpu": r"--devices=.*tpu.*must be cpu or gpu",
    "--devices=gpu:x": r"--devices=.*gpu:x.*names like gpu:0,gpu:1",
    "--devices=cpu:0,gpu:0": r"--devices=.*cpu:0.*gpu:0.*of one kind",
    "--devices=cpu,cpu:0": r"--devices=.*cpu.*cpu:0.*must be",
    "--method=prototypical --inner_steps=3": r"--inner_steps is not for --method=prototypical; it is for.*leave it out",
    "--method=maml --nosecond_order": r"--second_order is not for --method=maml; it is for.*leave it out",
    "--method=fomaml --second_order": r"--second_order is not for --method=fomaml; it is for.*leave it out",
}
_WRONG_COMMANDS = {
    "train without a run": (["ml_lstm.train"], r"--run_dir"),
    "evaluate without a run": (["ml_lstm.evaluate"], r"--run_dir"),
    "evaluate one episode": (["ml_lstm.evaluate", "--run_dir=run", "--episodes=1"], r"--episodes=1.*2"),
    "gates into no file": (["ml_lstm.gates", "--run_dir=run"], r"give --json=FILE, --png=FILE, or both"),
    "evaluate in no step": (["ml_lstm.evaluate", "--run_dir=run", "--inner_steps=0"], r"--inner_steps=0.*positive"),
    "evaluate another split": (["ml_lstm.evaluate", "--run_dir=run", "--split=half"], r"--split=half.*test"),
    **{
        f"{cell} behind an LSTM": (
            ["ml_lstm.train", "--run_dir=run", f"--cell={cell}", "--hidden_units=4"],
            rf"--hidden_units is not for --cell={cell}; .*leave it out",
        )
        for cell in ("sgd", "meta_sgd", "turtle")
    },
    **{flag: (["ml_lstm.train", "--run_dir=run", *flag.split()], words) for flag, words in _WRONG_FLAGS.items()},
}


@pytest.fixture(scope="module")
def wrong_flags(tmp_path_factory):
    """`(directory the commands ran in, name → (status, stderr))`."""
    here = tmp_path_factory.mktemp("here")
    ended = _run_all([arguments for arguments, _ in _WRONG_COMMANDS.values()], here)
    return here, dict(zip(_WRONG_COMMANDS, ended, strict=True))


@pytest.mark.parametrize("name", _WRONG_COMMANDS)
def test_wrong_flag_is_one_line_that_names_it_and_exit_2(name, wrong_flags):
    (module, *_), words = _WRONG_COMMANDS[name]
    here, ended = wrong_flags
    status, stderr = ended[name]
    assert status == 2, stderr
    (line,) = stderr.splitlines()
    assert line.startswith(f"{module}: ")
    assert re.search(words, line), line
    assert not list(here.iterdir())


def _train(commands, path, *more):
    return "train", *commands.train_flags(path, *more)


def _evaluate(path, *more):
    return "evaluate", f"--run_dir={path}", *more


def _run_of_file(commands, path, _):
    path.write_text("mine")
    return _train(commands, path)


def _run_below_a_file(commands, path, _):
    path.write_text("mine")
    return _train(commands, path / "run")


def _run_among_foreign_files(commands, path, _):
    path.mkdir()
    (path / "thesis.tex").write_text("mine")
    return _train(commands, path)


def _other_configuration(commands, path, trained):
    shutil.copytree(trained, path)
    return _train(commands, path, "--learning_rate=0.5", "--filters=8")


def _damaged_flags(commands, path, trained):
    shutil.copytree(trained, path)
    flags = path / "flags.json"
    flags.write_text(flags.read_text()[:200])
    return _train(commands, path)


def _damaged_flags_evaluated(commands, path, trained):
    shutil.copytree(trained, path)
    (path / "flags.json").write_text("[]")
    return _evaluate(path)


def _no_data(commands, path, _):
    path.mkdir()
    return _train(commands, path / "run", "--dataset=omniglot", f"--data_dir={path}/data")


def _half_written_data(commands, path, _):
    source = next((_TFDS / "omniglot").glob("[0-9]*"), None)
    if source is None:
        return None
    copy = path / "omniglot" / source.name
    copy.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        shutil.copyfile(source / name, copy / name)
    flags = ("--dataset=omniglot", f"--data_dir={path}", f"--cache_dir={path}/cache")
    return _train(commands, path / "run", *flags)


def _too_many_ways(commands, path, _):
    return _train(commands, path, "--n_way=101")


def _too_many_shots(commands, path, _):
    return _train(commands, path, "--k_shot=15", "--n_query=6")


def _forbidden_place(commands, path, _):
    return _train(commands, Path("/sys/ml_lstm_run"))  # where not even root may make a directory


def _nothing_to_evaluate(commands, path, _):
    path.mkdir()
    return _evaluate(path)


def _more_ways_than_trained(commands, path, trained):
    shutil.copytree(trained, path)
    return _evaluate(path, "--n_way=6")


def _instances_without_a_sequence(commands, path, trained):
    shutil.copytree(trained, path)
    return _evaluate(path, "--by_instance")


def _new_base_learner_of_none(commands, path, trained):
    shutil.copytree(trained, path)
    return _evaluate(path, "--new_base_filters=8")


def _no_such_device(commands, path, _):
    return _train(commands, path, "--devices=gpu:99")


def _two_devices_for_one(commands, path, _):
    return _train(commands, path, "--devices=cpu:0,cpu:1")


def _two_devices_to_evaluate(commands, path, trained):
    shutil.copytree(trained, path)
    return _evaluate(path, "--devices=cpu:0,cpu:1")


def _uneven_shares(commands, path, _):
    return _train(commands, path, "--strategy=mirrored", "--devices=cpu:0,cpu:1", "--meta_batch_size=3")


def _no_cluster(commands, path, _):
    return _train(commands, path, "--strategy=multi_worker")


def _shared_as_a_whole(commands, path, _):
    return _train(commands, path, "--strategy=mirrored", "--devices=cpu:0,cpu:1", "--method=mann")


# What is done, and what the line must say.
_CASES = {
    _run_of_file: r"in use and is not a run.*another --run_dir",
    _run_below_a_file: r"Not a directory\. Choose another path",
    _run_among_foreign_files: r"in use and is not a run.*another --run_dir",
    _other_configuration: r"--filters was 4, is 8; --learning_rate was 0\.01, is 0\.5.*another --run_dir",
    _damaged_flags: r"flags\.json is damaged: restore it, or start a new run",
    _damaged_flags_evaluated: r"flags\.json is damaged: restore it, or start a new run",
    _no_data: r"No prepared Omniglot in.*--data_dir",
    _half_written_data: r"damaged or incomplete.*--data_dir",
    _too_many_ways: r"val split has 100 classes.*lower --n_way",
    _too_many_shots: r"15 support \+ 6 query.*has 20.*lower --k_shot or --n_query",
    _forbidden_place: r"/sys/ml_lstm_run: (Operation not permitted|Permission denied|Read-only).*choose another path",
    _nothing_to_evaluate: r"is not a run directory.*give one that train created",
    _more_ways_than_trained: r"--n_way=6 is more than the 5 classes.*lower it, or train with more",
    _no_such_device: r"--devices=gpu:99: there is no gpu:99; this machine has ",
    _two_devices_for_one: r"--devices has 2 devices, but only one is used",
    _two_devices_to_evaluate: r"--devices has 2 devices, but only one is used",
    _uneven_shares: r"--meta_batch_size=3 cannot be divided evenly among 2 devices.*multiple of 2",
    _no_cluster: r"--strategy=multi_worker needs TF_CONFIG in the environment",
    _shared_as_a_whole: r"--method=mann needs a meta-batch as a whole.*leave out --strategy",
    _instances_without_a_sequence: r"--by_instance is for --method=mann.*has meta_lstm: leave it out",
    _new_base_learner_of_none: r"--new_base_filters is for --method=meta_networks.*or meta_lstm: leave it out",
}


@pytest.fixture(scope="module")
def refused(commands, trained, tree, tmp_path_factory):
    """Case → `(status, stderr, files before, files after)`; None without the data for it."""
    here = tmp_path_factory.mktemp("here")
    places = {case: tmp_path_factory.mktemp("refused") for case in _CASES}
    prepared = {case: case(commands, place / "run", trained) for case, place in places.items()}
    runs = {case: [f"ml_lstm.{command[0]}", *command[1:]] for case, command in prepared.items() if command}
    before = {case: tree(places[case]) for case in runs}
    ended = dict(zip(runs, _run_all(list(runs.values()), here), strict=True))
    return {case: case in runs and (*ended[case], before[case], tree(places[case])) for case in _CASES}


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.__name__.strip("_"))
def test_bad_input_is_one_line_that_says_what_to_do(case, refused, finished):
    if not refused[case]:
        pytest.skip(f"no Omniglot in {_TFDS}: set ML_LSTM_DATA_DIR to a TFDS directory that holds it")
    status, stderr, before, after = refused[case]
    assert re.search(_CASES[case], finished(status, "", stderr).refusal())
    assert before == after


def _obey_permissions():
    """Takes from root, before exec, the right to override permissions."""
    if os.geteuid() == 0:
        pr_capbset_drop, cap_dac_override = 24, 1
        ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_run_that_may_not_be_written_is_refused_and_unchanged(command, commands, trained_copy, tree):
    flags = {
        "train": commands.train_flags(trained_copy, f"--episodes={commands.episodes + 2}"),
        "evaluate": [f"--run_dir={trained_copy}", "--episodes=2"],
    }
    before, directories = tree(trained_copy), [path for path in trained_copy.rglob("*") if path.is_dir()]
    for path in (trained_copy, *directories):
        path.chmod(0o555)
    finished = commands.run(command, *flags[command], preexec_fn=_obey_permissions)
    for path in (trained_copy, *directories):
        path.chmod(0o755)
    assert re.search(r"Permission denied\. Change its permissions", finished.refusal())
    assert before == tree(trained_copy)
