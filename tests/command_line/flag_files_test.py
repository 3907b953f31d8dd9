"""A flag file is found from anywhere, includes others relative to itself, and holds what absl would read of it."""

import os
import re
import threading
from pathlib import Path

import pytest
from absl import flags

from ml_lstm.command_line import flag_files

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(str(path.relative_to(CONFIGS.parent)) for path in CONFIGS.rglob("*.flags"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working directory that has nothing to do with the package."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, *lines):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def contents(*words):
    program, *rest = flag_files.with_contents(["program", *words])
    assert program == "program"
    return rest


def refusal(*words):
    with pytest.raises(flags.Error) as found:
        contents(*words)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_lines_stand_in_place_of_the_name_so_that_what_comes_later_wins():
    write("a.flags", "# a comment", "// another", "", "  --k_shot=2  ", "--nowide")
    assert contents("--x=1", "--flagfile=a.flags", "--y", "2") == ["--x=1", "--k_shot=2", "--nowide", "--y", "2"]


@pytest.mark.parametrize("words", [["--flagfile=a"], ["-flagfile=a"], ["--flagfile", "a"], ["-flagfile", "a"]])
def test_every_spelling_of_absl_is_read(words):
    write("a", "--k_shot=2")
    assert contents(*words) == ["--k_shot=2"]


@pytest.mark.parametrize(
    "words",
    [
        ["--", "--flagfile=a"],  # no flags any more
        ["--flagfile"],  # absl says that it needs an argument
        ["--flagfiles=a", "flagfile=a"],  # others
    ],
)
def test_what_is_no_flag_file_is_left_as_it_is(words):
    assert contents(*words) == words


def test_an_empty_name_is_nothing_as_in_absl():
    assert contents("--flagfile=", "--x") == ["--x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_found_by_name_from_anywhere(name):
    assert contents(f"--flagfile={name}") == contents(f"--flagfile={CONFIGS.parent / name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_includes_others_relative_to_itself(name):
    path = CONFIGS.parent / name
    for included in re.findall(r"^--flagfile=(.*)", path.read_text(), re.MULTILINE):
        assert (path.parent / included).exists()


def test_a_configuration_holds_what_it_and_its_base_files_say():
    found = contents("--flagfile=configs/omniglot_5way_1shot_fomaml.flags")
    for name in ("omniglot_5way_1shot_fomaml", "omniglot_5way_1shot_maml", "base/omniglot_episodes"):
        own = re.findall(r"^--(?!flagfile).*", (CONFIGS / f"{name}.flags").read_text(), re.MULTILINE)
        assert own and set(own) <= set(found)
    assert not [line for line in found if "flagfile" in line or not line.startswith("--")]


def test_a_users_own_file_comes_before_the_configuration_of_that_name():
    write("configs/quickstart.flags", "--mine")
    assert contents("--flagfile=configs/quickstart.flags") == ["--mine"]


def test_an_installed_package_has_its_configurations_inside(elsewhere, monkeypatch):
    package = elsewhere / "site-packages" / "ml_lstm"
    write(package / "configs" / "quickstart.flags", "--flagfile=base/a.flags", "--b")
    write(package / "configs" / "base" / "a.flags", "--a")
    write(package.parent / "configs" / "quickstart.flags", "--of_another_package")
    monkeypatch.setattr(flag_files, "_PACKAGE", package)
    assert contents("--flagfile=configs/quickstart.flags") == ["--a", "--b"]


def test_a_file_includes_others_relative_to_itself(elsewhere):
    write("far/away/a.flags", "--flagfile=base/b.flags", "--a")
    write("far/away/base/b.flags", "--flagfile=../c.flags", "--b")
    write("far/away/c.flags", "--c")
    write("base/b.flags", "--another")
    assert contents("--flagfile=far/away/a.flags") == ["--c", "--b", "--a"]
    assert contents(f"--flagfile={elsewhere}/far/away/a.flags") == ["--c", "--b", "--a"]


def test_a_file_from_before_includes_others_relative_to_the_working_directory():
    write("mine/a.flags", "--flagfile=shared/b.flags", "--flagfile=configs/base/meta_lstm_fast.flags", "--a")
    write("shared/b.flags", "--b")
    base = contents("--flagfile=configs/base/meta_lstm_fast.flags")
    assert len(base) > 2
    assert contents("--flagfile=mine/a.flags") == ["--b", *base, "--a"]


def test_a_file_may_be_included_twice():
    write("a", "--flagfile=b", "--flagfile=c")
    write("b", "--flagfile=d")
    write("c", "--flagfile=d")
    write("d", "--d")
    assert contents("--flagfile=a", "--flagfile=d") == ["--d"] * 3


@pytest.mark.parametrize("again", ["a", "./a", "../{}/a", "link"])
def test_a_file_that_includes_itself_is_refused(again, elsewhere):
    write("a", "--flagfile=b")
    write("b", f"--flagfile={again.format(elsewhere.name)}")
    Path("link").symlink_to("a")
    assert re.search(r"a includes itself, through b", refusal("--flagfile=a").replace("link", "a"))


def test_home_is_where_a_shell_has_it(elsewhere, monkeypatch):
    monkeypatch.setenv("HOME", str(elsewhere / "home"))
    write("home/a", "--flagfile=~/b")
    write("home/b", "--b")
    assert contents("--flagfile=~/a") == ["--b"]


def test_a_pipe_is_read():
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("--k_shot=2\n"))
    writer.start()
    assert contents("--flagfile=pipe") == ["--k_shot=2"]
    writer.join(60)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("configs/quickstrat.flags", "configs/quickstart.flags"),
        ("quickstart.flags", "configs/quickstart.flags"),
        ("quickstart", "configs/quickstart.flags"),
        ("configs/meta_lstm_fast.flags", "configs/base/meta_lstm_fast.flags"),
        ("mine/experimnt.flags", "mine/experiment.flags"),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_names_like_it(name, meant):
    write("mine/experiment.flags", "--a")
    said = refusal(f"--flagfile={name}")
    assert said.startswith(f"--flagfile={name}: this file does not exist. Did you mean ")
    assert meant in said


@pytest.mark.parametrize("name", ["zzz", "no/such/folder/zzz", "/no/such/zzz", "x" * 5000, "a\0b"])
def test_a_name_like_none_says_to_check_it(name):
    assert refusal(f"--flagfile={name}") == f"--flagfile={name}: this file does not exist. Check the path."


def test_of_an_include_that_is_not_there_it_is_told_who_has_it():
    write("mine/a.flags", "--flagfile=bass.flags")
    write("mine/base.flags", "--b")
    assert refusal("--flagfile=mine/a.flags").startswith(
        "mine/a.flags has --flagfile=bass.flags: this file does not exist. Did you mean base.flags"
    )


def test_what_cannot_be_read_is_told_in_one_line():
    Path("folder").mkdir()
    Path("picture.png").write_bytes(b"\x89PNG\r\n")
    assert refusal("--flagfile=folder") == "folder cannot be read: Is a directory."
    assert refusal("--flagfile=picture.png") == "picture.png is not a flag file: it is not in UTF-8."
