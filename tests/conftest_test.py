"""What tests of several folders share."""

import pytest

_RUN = []


@pytest.fixture(autouse=True)
def noted(request):
    _RUN.append(request.node.name)


@pytest.mark.slow_unless(letter=["a"], number=[1, 2])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("letter", ["a", "b"])
def test_slow_ones_of_a_family_are_marked(letter, number, request):
    assert (request.node.get_closest_marker("slow") is None) == (letter == "a" and number < 3)


def test_a_files_tests_run_in_one_process(request):
    """Or each process would make the fixtures of a file."""
    assert [item.name for item in request.session.items if item.path == request.path] == _RUN
