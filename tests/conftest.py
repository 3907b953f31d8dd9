"""What tests of several folders share."""

# Before TensorFlow, as it says how that is to start.
import ml_lstm  # isort: skip  # noqa: F401

import gc
import os
from pathlib import Path

import pytest
from tensorflow.python.eager import context
from xdist.scheduler import LoadFileScheduling

from ml_lstm.serving.server import memory

memory.take_from_system()
# Where gRPC runs beside them, its handlers would crash some of the forks that `preexec_fn` makes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


def pytest_addoption(parser):
    parser.addoption(
        "--fuzz_seconds",
        type=int,
        help="How long tests/fuzz tries examples in all, others each time; by default a minute, the same each time.",
    )
    parser.addoption(
        "--install_dependencies",
        action="store_true",
        help="Has tests/package_test.py install what the package needs from the registry, in an empty environment.",
    )
    parser.addoption(
        "--screenshots",
        nargs="?",
        const="characters",
        help="Has tests/page take docs/images/page-*.png, with a model of the zoo, or an exported one: MODELS/NAME.",
    )


_SHARING = {"commands", "page", "serving", "zoo"}


class _Together(LoadFileScheduling):
    """Keeps the tests of a file in one process, and those of folders that share fixtures which are slow to make."""

    def _split_scope(self, nodeid):
        path = Path(nodeid.split("::")[0])
        return path.parent.name if path.parent.name in _SHARING else str(path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return _Together(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)  # before pytest's own, which selects by marks
def pytest_collection_modifyitems(items):
    """A test marked `slow_unless(NAME=VALUES)` is fast only where each of its parameters NAME is one of VALUES."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        for marker in item.iter_markers("slow_unless"):
            if any(name in params and params[name] not in values for name, values in marker.kwargs.items()):
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Libraries and tests stay to the end: to look through them at each collection of garbage takes long in all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache_of_their_own(tmp_path_factory):
    """What tests cache does not stay in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def memory_given_back():
    """Graphs are held in circles, of which a whole suite would gather gigabytes in each process."""
    yield
    gc.collect()
    memory.trim()


@pytest.fixture(scope="module")
def selected(request):
    """`selected(name)`: the values of a parameter in the tests of the module that will run; no more need be made."""
    of_module = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    found = [item.callspec.params for item in of_module]
    return lambda name: list(dict.fromkeys(params[name] for params in found if name in params))


@pytest.fixture(scope="session")
def graphs_run():
    """A function that calls another, a `tf.function`'s first call say: what it returns, and the graphs that ran."""

    def run(function, *arguments):
        # A summary writer whose trace was never exported has the collection on, and graphs in it.
        context.context().disable_graph_collection()
        with context.collect_graphs() as graphs:
            value = function(*arguments)
        return value, graphs

    return run
