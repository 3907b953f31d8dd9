"""Figures in the README and docs/ are those of the results that they link to.

A figure is a number with a unit, a `±`, decimals or a comma for the thousands, or one that is alone in a table's cell.
In a table its column says which value of the result it is. In prose its unit does, or CLAIMS. It is compared with the
result that the nearest link names: in its cell, after it in its row or paragraph, before it there, or in the paragraph
above its table. What no result can carry is in FACTS or TABLES_OF_FACTS, with its source.
"""

import dataclasses
import functools
import itertools
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
FILES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "export").rglob("README.md")))
PAGES = [path.relative_to(ROOT).as_posix() for path in FILES]
# Each with a test of its own: made from the constructors, with defaults and no measurements; and from its result.
GENERATED = {"docs/options.md", "docs/kills.md", "docs/attack.md", "docs/studies.md"}

WORDS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
WORDS |= {
    "ten": 10,
    "twelve": 12,
    "twenty": 20,
    "hundred": 100,
    "half a": 0.5,
    "half": 0.5,
    "a": 1,
    "an": 1,
    "another": 1,
}
UNITS = {unit: unit for unit in ("%", "times", "min", "s", "ms", "h", "KB", "MB", "GB", "MiB", "GiB", "points")}
UNITS |= {unit: unit for unit in ("episodes", "episodes/s", "requests/s")}
UNITS |= {"minute": "min", "minutes": "min", "seconds": "s", "milliseconds": "ms", "hour": "h", "hours": "h"}
UNITS |= {"meta-test episodes": "episodes", "sequences": "episodes", "point": "points"}
DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
# Not part of a name, of a version such as 2.21.0, of a size such as 84×84 or of a range's sign.
NUMBER = rf"(?<![\w.,×/:=])(?:{DIGITS})(?![\w×:]|[.,]\d)"
UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
COUNT = rf"(?:{NUMBER}|\b(?:{'|'.join(WORDS)})\b)"
AND = r" (?:and|to|or|of) |–"
FIGURE = re.compile(
    rf"(?P<pair>{NUMBER}) ± (?P<interval>{NUMBER})(?: ?%)?"
    rf"|(?P<first>{COUNT})(?:(?:{AND})(?P<second>{COUNT}))?[ -]?(?P<unit>{UNIT})(?![\w/])"
    rf"|(?P<bare>{NUMBER})"
)
# Versions of these, and sections of papers, are numbers with a point and no figures.
NAMED = re.compile(r"(?:TensorFlow|Serving|PyTorch|Python|Kubernetes|Apache|Compose|HTTP/|[Ss]ection) $")
RESULT = re.compile(r"results/\w+\.json$")
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")


@dataclasses.dataclass
class Figure:
    """A number as it is printed: its value, how many decimals it has, its unit, and where it stands in a text."""

    value: float
    decimals: int
    unit: str
    start: int
    end: int
    text: str

    def is_rounded_from(self, exact):
        return abs(exact - self.value) <= 0.5 * 10**-self.decimals + 1e-9


@dataclasses.dataclass
class Block:
    """A paragraph, a list item, a heading or a row of a table.

    Attributes:
        line: its first.
        text: with code and the targets of links blanked, each character at its place.
        links: `(position, target)` of each.
    """

    line: int
    text: str
    links: list


@functools.cache
def load(path):
    return json.loads(path.read_text())


def number(text):
    """`(value, decimals)` of a number in digits or in a word."""
    if text in WORDS:
        return WORDS[text], 1 if text == "half" else 0
    return float(text.replace(",", "")), len(text.partition(".")[2])


def figures(text):
    """All figures of a text: a pair with `±` is two, the first with the unit `±`."""
    found = []
    for match in FIGURE.finditer(text):
        if match["pair"]:
            for group, unit in (("pair", "±"), ("interval", "interval")):
                found.append(Figure(*number(match[group]), unit, *match.span(group), match[0]))
        elif match["unit"]:
            for group in ("first", "second"):
                if match[group]:
                    found.append(Figure(*number(match[group]), UNITS[match["unit"]], *match.span(group), match[0]))
        elif {".", ","} & set(match["bare"]) and not NAMED.search(text[: match.start()]):
            found.append(Figure(*number(match["bare"]), "", *match.span(), match[0]))
    return found


def blocks(markdown):
    """`(paragraphs, tables)`: a table is `(caption, header, rows)`, each a `Block`; code is blanked in all of them."""
    markdown = re.sub(r"^```.*?^```", lambda code: "\n" * code[0].count("\n"), markdown, flags=re.DOTALL | re.MULTILINE)
    paragraphs, tables, lines, begun = [], [], [], None

    def block(lines, line):
        links = []
        text = re.sub(r"`[^`]*`", lambda code: "▮" * len(code[0]), "\n".join(lines)).replace("\n", " ")
        for link in reversed(list(LINK.finditer(text))):
            before, after = link.start(1) - link.start(), link.end() - link.end(1)
            text = text[: link.start()] + " " * before + link[1] + " " * after + text[link.end() :]
            links.insert(0, (link.start(), link[2]))
        return Block(line, text, links)

    def end():
        nonlocal lines, begun
        if lines and lines[0].startswith("|"):
            rows = [block([line], begun + index) for index, line in enumerate(lines) if index != 1]
            tables.append((paragraphs[-1] if paragraphs else Block(begun, "", []), rows[0], rows[1:]))
        elif lines:
            paragraphs.append(block(lines, begun))
        lines, begun = [], None

    for index, line in enumerate([*markdown.splitlines(), ""], start=1):
        indented_code = line.startswith("    ") and not lines
        item = re.match(r" *(?:[-*]|\d+\.) |#", line)
        if not line.strip() or indented_code or item or (lines and line.startswith("|") != lines[0].startswith("|")):
            end()
        if line.strip() and not indented_code:
            lines, begun = [*lines, line], begun or index
    return paragraphs, tables


def cells(row):
    """`(start, end)` of each cell of a row."""
    bars = [match.start() for match in re.finditer(r"\|", row.text)]
    return [(start + 1, end) for start, end in itertools.pairwise(bars)]


def records(result):
    """A result's dictionaries, itself among them."""
    if isinstance(result, dict):
        yield result
    for value in result.values() if isinstance(result, dict) else result if isinstance(result, list) else ():
        yield from records(value)


def leaves(result, name=""):
    """`(key, number)` of all numbers of a result but its options; those of a list have the key of the list."""
    if isinstance(result, dict):
        for key, value in result.items():
            if key not in ("flags", "model", "percentiles"):
                yield from leaves(value, name if key.isdigit() else key)
    elif isinstance(result, list):
        for value in result:
            yield from leaves(value, name)
    elif isinstance(result, int | float) and not isinstance(result, bool):
        yield name, result


BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "MiB": 2**20, "GiB": 2**30}


def in_unit(key, value, unit):
    """A number of a result in a figure's unit, or None where it is no such quantity."""
    if unit == "%" and ("accuracy" in key or "accuracies" in key):
        return 100 * value
    if unit == "times" and "ratio" in key:
        return value
    if unit in ("s", "ms", "min") and re.search(r"(^|_)seconds", key):
        return value * {"s": 1, "ms": 1000, "min": 1 / 60}[unit]
    if unit == "ms" and key.endswith("_ms"):
        return value
    if unit in BYTES and "bytes" in key:
        return value / BYTES[unit]
    if unit == "MB" and key.endswith("_mb"):
        return value
    if (unit, key) in (("episodes/s", "episodes_per_second"), ("requests/s", "requests_per_second")):
        return value
    if unit == "episodes" and key in ("episodes", "train_episodes"):
        return value
    return value if unit == "" else None


def disagreement(found, result):
    """What is wrong with the figures of a text by one result, each as its unit alone says."""
    wrong = []
    for figure, interval in zip(found, [*found[1:], None], strict=True):
        if figure.unit == "±":
            right = any(
                figure.is_rounded_from(100 * record["accuracy"])
                and interval.is_rounded_from(100 * record["confidence_interval_95"])
                for record in records(result)
                if {"accuracy", "confidence_interval_95"} <= set(record)
            )
        elif figure.unit == "interval":
            continue
        else:
            values = (in_unit(key, value, figure.unit) for key, value in leaves(result))
            right = any(figure.is_rounded_from(value) for value in values if value is not None)
        if not right:
            wrong.append(figure)
    return wrong


# ---- tables: what a column holds ---------------------------------------------------------------------------------


def of_a_run(heading, row, result):
    """Values of a cell of a table of accuracies, the result being its row's."""
    if ("accuracy, %" in heading and "at instance" not in heading) or re.search(r"(meta-learner|Networks), %", heading):
        values = [100 * result["accuracy"], 100 * result["confidence_interval_95"]]
        return [*values, 100 * result["instance_accuracies"][1]] if "at a class's 2nd" in row else values
    if re.search("meta-training episodes|trained for batches", heading):
        return [result["train_episodes"], result["train_seconds"] / 60] if result["train_episodes"] else []
    if place := re.fullmatch(r"(\d+)(?:st|nd|rd|th)", heading):
        place = int(place[1])
        accuracies = result["instance_accuracies"]
        return [100 * accuracies[place - 1]] if place <= len(accuracies) else []
    return None


def of_a_meta_step(heading, row, result):
    return {
        "s/episode, median (range of 15)": [result["seconds_per_episode" + end] for end in ("", "_min", "_max")],
        "floor, s": [result["floor_seconds"]],
        "ratio": [result["ratio_to_floor"]],
        "peak memory": [result["peak_resident_bytes"] / 1e9],
    }.get(heading)


def of_sampling(heading, row, result):
    return {
        "with sampling / one fixed episode": [result["ratio"], *result["ratio_quartiles"]],
        "first batch of a new process, s": [result["first_batch_seconds"]],
    }.get(heading)


def of_exports(heading, row, result):
    method, _, cell = re.search(r"`(\w+)( --cell=(\w+))?`", row).groups()
    record = result["configurations"][f"omniglot_5way_1shot_{cell or method}"]
    return {
        "adapt, ms": [1000 * record["adapt_seconds"]],
        "one query, ms": [1000 * record["predict_one_seconds"]],
        "75 queries, ms": [1000 * record["predict_all_seconds"]],
        "adaptation, KB": [record["adaptation_bytes"] / 1e3],
        "export, KB": [record["export_bytes"] / 1e3],
        "classes": [record["most_classes"]] if record["most_classes"] else [],
    }.get(heading)


def of_bench(heading, row, result):
    if match := re.fullmatch(r"\((\w)\) (train|adapt and predict)", heading):  # a row is a processor
        record, kind = result["settings"][match[1]], "train" if match[2] == "train" else "test"
        return [record[f"{kind}_seconds_pytorch"] / record[f"{kind}_seconds_ours"]]
    setting, method, what = re.match(r"\((\w)\) (?:([\w -]+), )?(train|adapt and predict|predict)", row).groups()
    record = result["settings"][setting]
    prefix = {None: "", "LSTM meta-learner": "", "MAML": "maml_", "Prototypical Networks": "prototypical_"}[method]
    prefix += {"train": "train", "adapt and predict": "test", "predict": "predict"}[what]
    ours, pytorch, compiled, keras = (
        record.get(f"{prefix}_seconds_{who}") for who in ("ours", "pytorch", "pytorch_compiled", "keras")
    )
    columns = {
        "ratio to that": [],
        "ours": [ours],
        "PyTorch": [pytorch],
        "compiled": [compiled] if compiled else [],
        "Keras": [keras],
    }
    if pytorch:
        columns["ratio"] = [pytorch / ours]
    if compiled:
        columns["ratio to that"] = [compiled / ours]
    if keras:
        columns["Keras / ours"] = [keras / ours]
    if "floor" in row:
        columns |= {
            "floor": [record["floor_seconds"]],
            "ours / floor": [record["train_ratio_floor"]],
            "the learner alone": [record["learner_seconds"]],
        }
    return columns.get(heading)


def of_kernels(heading, row, result):
    layer, kernel = re.match(r"(\d), ([\w +-]+?) *\|", row).groups()
    (found,) = (each for each in result["rows"] if (str(each["layer"]), each["kernel"]) == (layer, kernel))
    ours, theirs = ([found[f"{who}_{way}_ms"] for way in ("forward", "backward")] for who in ("ours", "pytorch"))
    share = found["multiply_adds"] / result["multiply_adds_per_second"] / sum(ours) * 1e3
    return {"ours, ms": [sum(ours)], "PyTorch, ms": [sum(theirs)], "of matrix rate": [share] if share else []}.get(
        heading
    )


def of_threads(heading, row, result):
    size, batch = map(int, re.search(r"(\d+)×\d+, (\d)", row).groups())
    method = "meta_lstm" if row.startswith("LSTM") else "prototypical"
    threads = {"one thread": 1, "all cores": 0}.get(heading)
    return [
        point["seconds_per_episode"]
        for point in result["points"]
        if (point["method"], point["image_size"], point["meta_batch_size"], point["intra_op_threads"])
        == (method, size, batch, threads)
    ] or None


def of_start(heading, row, result):
    name = row.partition("|")[0].replace("`", "").strip()
    places = {"TensorFlow and Keras": "tensorflow", "the command": "ours", "the first step": "compile"}
    places |= {"data": "data", "method": "method", "tracing": "trace", "a later step": "later_step"}
    points = [*result["imports"], *result["first_steps"]]
    found = [point for point in points if name in (point.get("command"), point.get("configuration"))]
    return [point[places[heading]] for point in found] if heading in places else None


def of_attack(heading, row, result):
    kind = row.partition("|")[0].strip()
    seconds = [request["seconds"] for request in result["requests"] if request["kind"] == kind]
    p99 = result["neighbour_p99_beside_kind"][kind]
    return {
        "requests": [len(seconds)],
        "slowest answer, s": [max(seconds)],
        "that caller's p99, ms": [1000 * p99],
        "times its own alone": [p99 / result["neighbour_p99_alone"]],
    }.get(heading)


def of_scaling(headings, column, row, result):
    """The first heading names what grows, the other headings how far."""
    what = {"inner steps": "inner_steps", "coordinates": "coordinates", "episodes": "meta_batch_size"}[
        re.match(r"inner steps|coordinates|episodes", headings[0])[0]
    ]
    size = int(headings[column].replace(",", ""))
    places = {"inner_steps": lambda point: point["episode"]["inner_steps"]}
    points = [point for point in result[what] if places.get(what, lambda point: point[what])(point) == size]
    if row.startswith("s a meta-step"):
        return [point["seconds_per_episode"] * point["meta_batch_size"] for point in points]
    if row.startswith("peak memory, MiB"):
        return [point["peak_resident_bytes_above_start"] / 2**20 for point in points]
    return None


def of_recomputing(headings, column, row, result):
    if column < 2:
        return None
    order, recomputed = [cell.strip() for cell in row.split("|")][:2]
    steps = int(re.match(r"\d+", headings[column if headings[column].endswith("s") else column - 1])[0])
    points = [
        point
        for point in result["memory"]
        if point["episode"]["second_order"] == (order == "second")
        and point["episode"]["recompute_inner_steps"] == (recomputed == "yes")
        and point["episode"]["inner_steps"] == steps
    ]
    if headings[column] == "MiB":
        return [point["peak_resident_bytes_above_start"] / 2**20 for point in points]
    return [point["seconds_per_episode"] for point in points]


def of_serving(headings, column, row, results):
    """Left of the middle is the first result of the caption, right of it the second."""
    name = "adapt_and_predict" if row.startswith("adapt and predict") else "predict"
    name += "" if ", arrays" in row else "_encoded"
    queries = re.search(r"(\d+) quer", row)[1]
    heading = headings[column]
    if "callers" in headings[0]:
        record = results[column > 2]["load"][f"{name}, {queries} queries, {'REST' if 'REST' in row else 'gRPC'}"]
        return {
            "requests/s": [record["requests_per_second"]],
            "p50 / p99, ms": [record["p50_ms"], record["p99_ms"]],
        }.get(heading)
    record = results[column > 3]["latency"][f"{name}, {queries} queries"]
    return {
        "bare SavedModel": [record["bare_ms"]],
        "bare": [record["bare_ms"]],
        "gRPC (ratio)": [record["grpc_ms"], record["grpc_ratio"]],
        "REST (ratio)": [record["rest_ms"], record["rest_ratio"]],
    }.get(heading)


def cell_values(headings, column, row, names, results):
    """The values that a cell should have, in order, or None where no rule knows its column.

    Args:
        headings: of all columns.
        column: the cell's.
        row: the row as it is printed, without the bar in front.
        names: the files of `results`.
        results: that the cell's nearest link names, with those that stand beside it.
    """
    heading = headings[column]
    if "accuracy" in results[0]:
        return of_a_run(heading, row, results[0])
    rules = {"meta_step": of_a_meta_step, "sampling": of_sampling, "exports": of_exports, "bench": of_bench}
    rules |= {"kernels": of_kernels, "threads": of_threads, "start": of_start, "attack": of_attack}
    for start, rule in rules.items():
        if names[0].startswith(start):
            return rule(heading, row, results[0])
    if names[0].startswith("scaling"):
        return (of_recomputing if headings[0] == "order" else of_scaling)(headings, column, row, results[0])
    if names[0].startswith("serving_load"):
        return of_serving(headings, column, row, results)
    return None


def another_run(row, heading, result):
    """What of a row's label (`method --cell=cell`, N-way, K-shot) its result has otherwise, or None."""
    label = row.partition("|")[0]
    name = re.match(r"`(\w+)(?: --cell=(\w+))?[ `]", label)
    cell = result["flags"].get("cell")
    if heading == "`--cell`":
        if name and cell != name[1]:
            return f"cell {cell}"
    elif name and (result["method"] != name[1] or (name[2] or "meta_lstm") != (cell or "meta_lstm")):
        return f"method {result['method']}, cell {cell}"
    for key, unit in (("n_way", "way"), ("k_shot", "shot")):
        stated = re.search(rf"(\d+)-{unit}", label) or re.search(rf"(\d+)-{unit}", heading)
        if stated and int(stated[1]) != result[key]:
            return f"{key} {result[key]}"
    return None


# ---- prose: what its unit alone does not say, and what no result carries -------------------------------------------


def result(name):
    return load(RESULTS / f"{name}.json")


def later_convolutions(name, what):
    """Milliseconds that the convolutions of layers 2 to 4 take, or their multiply-adds at the matrix product's rate."""
    found = result(name)
    rows = [row for row in found["rows"] if row["layer"] > 1 and row["kernel"] == "convolution"]
    if what == "multiply_adds":
        return 1e3 * sum(row[what] for row in rows) / found["multiply_adds_per_second"]
    return sum(row[f"{what}_{way}_ms"] for row in rows for way in ("forward", "backward"))


def loads():
    return [result(name) for name in ("serving_load", "serving_load_one_thread")]


def slower(signature, protocols=("grpc", "rest")):
    """By how many per cent at most a protocol is slower than the bare SavedModel."""
    ratios = (load["latency"][signature][f"{protocol}_ratio"] for load in loads() for protocol in protocols)
    return 100 * (max(ratios) - 1)


def cheaper(load):
    """By which factor a kept adaptation makes a single query by gRPC faster."""
    milliseconds = (
        load["latency"][f"{name}_encoded, 1 queries"]["grpc_ms"] for name in ("adapt_and_predict", "predict")
    )
    return next(milliseconds) / next(milliseconds)


def resident(place, requests):
    return loads()[place]["memory"]["resident_mb"][str(requests)]


def points(better, worse):
    return 100 * (result(better)["accuracy"] - result(worse)["accuracy"])


def validated(run, *episodes, of="relation_curves"):
    """Meta-validation accuracy of a run in %; of several numbers of episodes, its bounds between."""
    curve = next(each["validations"] for each in result(of)["runs"] if each["name"] == run)
    found = [100 * accuracy for at, accuracy in curve if min(episodes) <= at <= max(episodes)]
    return [min(found), max(found)] if len(episodes) > 1 else found[0]


def episodes_left(curves, of):
    """In %, of a training of so many episodes, after the last validation."""
    return 100 - 100 * max(at for at, _ in result(curves)["runs"][0]["validations"]) / of


def paper_validated(episodes):
    return validated("twelve updates, setting of the paper", episodes, of="meta_lstm_paper_curves")


def cifar_fs_paper_validated(episodes):
    return validated("CIFAR-FS 5-way 1-shot", episodes, of="meta_lstm_paper_cifar_fs_curves")


def gates_of(name, gate):
    """Of each episode, update and layer."""
    return np.array(result(name)[f"{gate}_gates"])


def within(low, high, values):
    """The bounds, if all values are between them."""
    return [low, high] if low <= values.min() and values.max() <= high else [float("nan")] * 2


def cifar_fs_input_gates():
    """Of the paper's setting on CIFAR-FS: mean and largest of the first update, mean of the others."""
    take = gates_of("meta_lstm_paper_cifar_fs_gates", "input")
    return [take[:, 0].mean(), take[:, 0].max(), take[:, 1:].mean()]


def paper_gates():
    """A bound of the forget gates of the paper's setting; its mean input gates in updates 1, 2, and least from 4 on."""
    forget, take = (gates_of("meta_lstm_paper_gates", gate) for gate in ("forget", "input"))
    means = take.mean((0, 2))  # over episodes and layers
    return [0.9995 if forget.min() > 0.9995 else float("nan"), means[0], means[1], means[3:].min()]


def within_minutes(limit):
    """The limit, if each Omniglot method was trained within it."""
    tables = (ROOT / "docs/accuracy.md").read_text().partition("All methods on")[2].partition("More training")[0]
    names = re.findall(r"results/(omniglot_5way_1shot_\w+)\.json", tables)
    assert len(names) >= 19
    return limit if all(result(name)["train_seconds"] <= 60 * limit for name in names) else float("nan")


def faster_than_pytorch(name):
    """How many times, in training the LSTM meta-learner on images of 84×84."""
    record = result(name)["settings"]["a"]
    return record["train_seconds_pytorch"] / record["train_seconds_ours"]


def test_episodes(*names):
    (episodes,) = {result(name)["episodes"] for name in names}
    return episodes


test_episodes.__test__ = False


def all_test_episodes():
    """Of every result that the tables of accuracies link to."""
    links = re.findall(r"\| \[json\]\(results/(\w+)\.json\)", (ROOT / "docs/accuracy.md").read_text())
    assert len(links) >= 28
    return test_episodes(*links)


def flags_of(name, option):
    return result(name)["flags"][option]


def meta_training_episodes(*cells):
    """That the runs of Omniglot 5-way 1-shot with these cells were to take, all the same."""
    (episodes,) = {flags_of(f"omniglot_5way_1shot_{cell}", "episodes") for cell in cells}
    return episodes


def spread(limit, *names):
    """The limit, if the accuracies of Omniglot 5-way 1-shot differ by less, in per cent."""
    accuracies = [100 * result(f"omniglot_5way_1shot_{name}")["accuracy"] for name in names]
    return limit if max(accuracies) - min(accuracies) < limit else float("nan")


def seconds_an_episode(method):
    values = result(f"omniglot_5way_1shot_{method}")
    return values["train_seconds"] / values["train_episodes"]


# Page, a piece of its prose, and the values that the figures in it should have, in order.
CLAIMS = [
    ("README.md", "84×84 is 3.0 times as fast", lambda: faster_than_pytorch("bench")),
    ("README.md", "2.3 times with AVX2", lambda: faster_than_pytorch("bench_avx2")),
    (
        "docs/serving.md",
        "slowest hundredth took 23 ms alone and 33 ms beside them",
        lambda: [1000 * load(RESULTS / "attack.json")[f"neighbour_p99_{when}"] for when in ("alone", "beside")],
    ),
    (
        "docs/serving.md",
        "the server had 1155 MB before and 1242 MB after, with the process that reads JSON",
        lambda: [load(RESULTS / "attack.json")[f"resident_mb_{when}"] for when in ("before", "after")],
    ),
    ("docs/accuracy.md", "mean over 600 meta-test episodes", lambda: all_test_episodes()),
    ("docs/accuracy.md", "meta-trained for at most 20 minutes", lambda: within_minutes(20)),
    (
        "docs/accuracy.md",
        "of 40,000 episodes (the run without augmentation was stopped soon after its best) and of 12,000",
        lambda: [flags_of(f"cifar_fs_5way_{shots}shot", "episodes") for shots in (1, 5)],
    ),
    ("docs/choosing.md", "all trained for at most 20 minutes", lambda: within_minutes(20)),
    (
        "docs/choosing.md",
        "differ by less than a point here",
        lambda: spread(1, "meta_lstm", "complete_lstm", "gru", "sgd", "meta_sgd", "turtle"),
    ),
    (
        "docs/data.md",
        "5-way 1-shot, 600 episodes",
        lambda: test_episodes(
            *(f"omniglot_5way_1shot_{method}" for method in ("meta_lstm", "meta_networks")),
            *(f"omniglot_to_{to}_5way_1shot{end}" for to in ("mnist", "cifar_fs") for end in ("", "_meta_networks")),
        ),
    ),
    (
        "docs/maml.md",
        "gains 3.1 points here",
        lambda: points("omniglot_5way_1shot_maml_5way", "omniglot_5way_1shot_maml_5way_noshared_head"),
    ),
    ("docs/maml.md", "at rate 0.4", lambda: flags_of("omniglot_5way_1shot_maml_5way", "inner_learning_rate")),
    (
        "docs/maml.md",
        "gains another 1.3 points",
        lambda: points("omniglot_5way_1shot_maml", "omniglot_5way_1shot_maml_5way"),
    ),
    (
        "docs/matching.md",
        "a training episode takes 1.6 times as long",
        lambda: seconds_an_episode("matching_fce") / seconds_an_episode("matching"),
    ),
    (
        "docs/matching.md",
        "after 20,000 of them accuracy is 1.8 points lower",
        lambda: [
            result("omniglot_5way_1shot_matching_fce")["train_episodes"],
            points("omniglot_5way_1shot_matching", "omniglot_5way_1shot_matching_fce"),
        ],
    ),
    (
        "docs/performance.md",
        "take 15.4 ms of an inner step here and 17.5 ms in PyTorch with AVX-512",
        lambda: [later_convolutions("kernels", who) for who in ("ours", "pytorch")],
    ),
    (
        "docs/performance.md",
        "21.2 and 18.8 ms with AVX2",
        lambda: [later_convolutions("kernels_avx2", who) for who in ("ours", "pytorch")],
    ),
    (
        "docs/performance.md",
        "at 0.94 and 0.71 times the rate of a large matrix product",
        lambda: [
            later_convolutions(name, "multiply_adds") / later_convolutions(name, "ours")
            for name in ("kernels", "kernels_avx2")
        ],
    ),
    (
        "docs/meta_lstm.md",
        "82.3 % after 4,000 episodes, 86.5 after 8,000, 88.3 after 13,000",
        lambda: [number for at in (4000, 8000, 13000) for number in (paper_validated(at), at)],
    ),
    (
        "docs/meta_lstm.md",
        "86 % of the episodes are left",
        lambda: episodes_left("meta_lstm_paper_curves", of=100_000),
    ),
    (
        "docs/meta_lstm.md",
        "above 0.9995, and to take large steps: the input gates rise from 0.2 on average in the first update to 0.9 in "
        "the second and 0.99 from the fourth on",
        lambda: paper_gates(),
    ),
    (
        "docs/meta_lstm.md",
        "from 28.2 % after 1,000 episodes to 34.1 after 4,000 and 37.2 after 9,000, with 82 % of the episodes left",
        lambda: [
            *(number for at in (1000, 4000, 9000) for number in (cifar_fs_paper_validated(at), at)),
            episodes_left("meta_lstm_paper_cifar_fs_curves", of=50_000),
        ],
    ),
    (
        "docs/meta_lstm.md",
        "between 0.98 and 0.99, are a simple weight decay",
        lambda: within(0.98, 0.99, gates_of("meta_lstm_paper_cifar_fs_gates", "forget")),
    ),
    (
        "docs/meta_lstm.md",
        "0.25 on average in the first update, up to 0.51, and about 0.09 from the second on",
        lambda: cifar_fs_input_gates(),
    ),
    (
        "docs/meta_networks.md",
        "has 96.0 % after 2,000 episodes and 97.7 from 18,000 on",
        lambda: [
            *(validated("Meta Networks", 2000, of="meta_networks_curves"), 2000),
            *(min(validated("Meta Networks", 18000, 20000, of="meta_networks_curves")), 18000),
        ],
    ),
    ("docs/performance.md", "28,485 coordinates", lambda: result("scaling")["inner_steps"][0]["coordinates"]),
    (
        "docs/performance.md",
        "0.78 times the episodes/s of the same set in memory",
        lambda: result("large_set")["ratio_disk_to_memory"],
    ),
    (
        "docs/performance.md",
        "376 MiB more at its peak than training on one fixed episode; in memory it takes 12,697 MiB",
        lambda: [result("large_set")["measurements"][place]["resident_bytes_above_fixed"] / 2**20 for place in (1, 2)],
    ),
    (
        "docs/relation.md",
        "It had 97.2 % in meta-validation after 1,000 episodes and 98.0 after 4,000. From 7,000 to its end at 12,000 "
        "it stayed between 98.1 and 98.2",
        lambda: [
            *(validated("from C, the difference, 20 classes", 1000), 1000),
            *(validated("from C, the difference, 20 classes", 4000), 4000, 7000, 12000),
            *validated("from C, the difference, 20 classes", 7000, 12000),
        ],
    ),
    ("docs/relation.md", "run C itself has 98.1", lambda: validated("C, Prototypical Networks, 60 classes", 7500)),
    (
        "docs/relation.md",
        "66.0 % after 500 episodes, where problems of 20 classes have 94.9",
        lambda: [
            *(validated("from C, the difference, 60 classes", 500), 500),
            validated("from C, the difference, 20 classes", 500),
        ],
    ),
    (
        "docs/relation.md",
        "96.5 after 8,000 episodes",
        lambda: [validated("random weights, 5 classes", 8000), 8000],
    ),
    (
        "docs/serving.md",
        "186,962 requests were sent",
        lambda: sum(record["requests"] for load in loads() for record in load["load"].values()),
    ),
    (
        "docs/serving.md",
        "at most 13 % longer",
        lambda: max(slower("adapt_and_predict_encoded, 75 queries"), slower("adapt_and_predict, 75 queries", ["grpc"])),
    ),
    ("docs/serving.md", "a protocol adds up to 25 %", lambda: slower("adapt_and_predict_encoded, 1 queries")),
    (
        "docs/serving.md",
        "by gRPC it takes up to 1.9 times as long, and by REST up to 3.8 times",
        lambda: [1 + slower("predict_encoded, 1 queries", [protocol]) / 100 for protocol in ("grpc", "rest")],
    ),
    ("docs/serving.md", "3.7 times as fast (right: 3.0 times)", lambda: [cheaper(load) for load in loads()]),
    (
        "docs/serving.md",
        "over 10,000 requests: 860 MB after 1,000, 850 MB at the end (right: 850 MB and 854 MB)",
        lambda: [10000, resident(0, 1000), 1000, resident(0, 10000), resident(1, 1000), resident(1, 10000)],
    ),
    (
        "docs/update_rules.md",
        "18,000 episodes, but two steps and 9,000 for",
        lambda: [
            meta_training_episodes("meta_lstm", "gru", "sgd", "meta_sgd", "turtle"),
            meta_training_episodes("complete_lstm"),
        ],
    ),
]  # fmt: skip

FURRER = "Furrer, Erginbaş & Kayaalp, Meta-Learner LSTM for Few Shot Learning"
# Page, a piece of its prose whose figures no result can carry, and where they come from.
FACTS = [
    ("README.md", "takes less than a minute", "tests/readme_test.py holds the snippet to it"),
    ("docs/start.md", "95 % interval", "definition"),
    ("docs/accuracy.md", "95 % interval", "definition"),
    (
        "docs/accuracy.md",
        "MAML has 58.9 and Prototypical Networks 55.5 with one image per class, 71.5 and 72.0 with five",
        "Bertinetto et al. 2019, table 1",
    ),
    ("docs/baselines.md", "α in 0.01, 0.03, 0.1, 0.3, 1 and d in 0, 0.1, 1", "defaults in docs/options.md"),
    ("docs/baselines.md", "The published 82.3", "Vinyals et al. 2016, table 1"),
    ("docs/data.md", "(2048 MiB)", "default in docs/options.md"),
    ("docs/data.md", "the latest 256 MiB", "ml_lstm/data, the size of the cache of images on disk"),
    ("docs/data.md", "by chance, 20 %", "one of five classes"),
    ("docs/learners.md", "12,424,320 parameters", "counted by tests/learners/resnet12_test.py"),
    ("docs/learners.md", "16, 40, 80 and 160, 0.8 million parameters", "counted by tests/learners/resnet12_test.py"),
    ("docs/learners.md", "less than 20 KB", "5 classes x 576 features; tests/learners/pretrained_test.py"),
    ("docs/mann.md", "distinguishes 3,125 classes", "5 ** 5"),
    ("docs/mann.md", "The paper has 82.8 at the second, after 100,000 episodes", "Santoro et al. 2016"),
    ("docs/matching.md", "more than 28 %", "e / (e + 19 / e)"),
    (
        "docs/meta_lstm.md",
        "94.7 ± 0.44 for the LSTM meta-learner of Furrer et al. (100,000 episodes on a V100), "
        "98.7 ± 0.4 for MAML and 98.8 for",
        FURRER,
    ),
    ("docs/performance.md", "whose gates take 1 MiB", "_BLOCK_SIZE in ml_lstm/methods/families/learned_optimizer.py"),
    ("docs/reptile.md", "the flag's default, 0.001", "docs/options.md"),
    ("docs/reptile.md", "The published runs take 100,000 meta-steps", "Nichol et al. 2018, appendix"),
    ("docs/update_rules.md", "a rate of 0.01; our Omniglot files near 2.5", "the initial gates: σ(−4.5), 10 σ(−1)"),
    ("docs/update_rules.md", "of about 0.25)", "configs/base"),
    ("docs/update_rules.md", "2,000 with the default 20", "weights of an LSTM of 20 units and of two gates"),
    ("docs/accuracy.md", "Published: 94.7 [1]", FURRER),
    ("docs/accuracy.md", "have 92.0 for Siamese networks on 20-way problems", "Koch et al. 2015"),
    ("docs/siamese.md", "4,096 in the paper", "Koch et al. 2015, section 3.1"),
    ("docs/prototypical.md", "given more than 0.65", "e / (e + 4 / e)"),
    ("docs/siamese.md", "have a 20-way figure only, 92.0", "Koch et al. 2015; Meta Networks, table 3"),
    ("docs/meta_networks.md", "98.95 where it was trained on five", "Munkhdalai & Yu 2017, table 4"),
    (
        "docs/update_rules.md",
        "have 94.7 for the LSTM meta-learner on Omniglot, and the other cells on mini-ImageNet 5-way 5-shot only: "
        "LSTM 61.1, GRU 59.7, Complete-LSTM 57.5, adaptive SGD 55.5; Li et al. 99.5 for Meta-SGD",
        f"{FURRER}; Li et al. 2017",
    ),
    ("export/README.md", "gives it 30 s", "TensorFlow Serving's default of --rest_api_timeout_in_ms"),
    ("export/README.md", "may use 4 GB", "mem_limit in export/compose.yaml, limits in export/kubernetes.yaml"),
    ("export/README.md", "gets 35 s", "preStop in export/kubernetes.yaml"),
    ("export/README.md", "2.19 and 2.20", "versions"),
    ("export/client/README.md", "5 times in all", "_attempts in ml_lstm_client/client.py"),
    ("export/client/README.md", "is four times the model's or more", "ml_lstm_client/photographs.py"),
    ("docs/serving.md", "for 30 s at most", "_LAST_REQUESTS_SECONDS in ml_lstm/serving/server/run.py"),
    ("docs/serving.md", "no header for 20 s", "_HEADER_SECONDS in ml_lstm/serving/server/http.py"),
    ("export/client/README.md", "8 MiB", "_BYTES_AT_ONCE in ml_lstm_client/command.py"),
]  # fmt: skip
# Page, and the first headings of tables that say how things are set.
TABLES_OF_FACTS = {"docs/meta_lstm.md": {"flag"}, "docs/serving.md": {"flag"}}

# Results, some of whose measurements are of code that differed from their commit: "+" behind it. Measure again.
OF_MODIFIED_CODE = {"scaling.json"}

# How many figures of a page are compared with results, at least; a page that is not here has none.
COMPARED_AT_LEAST = {
    "README.md": 10, "docs/accuracy.md": 100, "docs/baselines.md": 10, "docs/choosing.md": 130, "docs/data.md": 12,
    "docs/maml.md": 18,
    "docs/mann.md": 14, "docs/matching.md": 14, "docs/meta_baseline.md": 9, "docs/meta_lstm.md": 20,
    "docs/meta_networks.md": 4, "docs/performance.md": 110, "docs/prototypical.md": 8, "docs/relation.md": 4,
    "docs/reptile.md": 8, "docs/ridge_regression.md": 3, "docs/serving.md": 115, "docs/siamese.md": 4,
    "docs/simple_shot.md": 3, "docs/update_rules.md": 28,
}  # fmt: skip


# ---- the comparison ------------------------------------------------------------------------------------------------


class Comparison:
    """Compares a page's figures with results.

    Attributes:
        compared: where the figures end that were compared with a result, in characters of the page.
        wrong: a line for each figure that disagrees, or that nothing carries.
        used: the snippets of `claims`, `facts` and the first headings of tables of facts that were met.
    """

    def __init__(self, page, markdown, claims=(), facts=(), tables_of_facts=()):
        self.page, self.folder = page, (ROOT / page).parent
        self.claims, self.facts = claims, facts
        self.compared, self.wrong, self.used = [], [], []
        lines = markdown.splitlines()
        self._begins = list(itertools.accumulate((len(line) + 1 for line in lines), initial=0))
        paragraphs, tables = blocks(markdown)
        for paragraph in paragraphs:
            self._paragraph(paragraph)
        for caption, header, rows in tables:
            headings = [header.text[slice(*cell)].strip() for cell in cells(header)]
            if headings[0] in tables_of_facts:
                self.used.append(headings[0])
                continue
            self._paragraph(dataclasses.replace(header, links=caption.links))
            for row in rows:
                printed, first_heading = (lines[block.line - 1].lstrip("| ") for block in (row, header))
                self._row(caption, headings, row, printed, first_heading.partition("|")[0].strip())

        for snippet in (*(snippet for snippet, _ in (*claims, *facts)), *tables_of_facts):
            if snippet not in self.used:
                self.wrong.append(
                    f"{page}: {snippet!r} is excepted or claimed by the test, and not there with a figure"
                )

    def _compared(self, block, ends):
        self.compared += [self._begins[block.line - 1] + end for end in ends]

    def _fail(self, line, text, why):
        self.wrong.append(f"{self.page}:{line}: {text!r} {why}")

    def _results(self, links):
        return [(Path(target).name, load(self.folder / target)) for target in links]

    def _nearest(self, links, position):
        """The result links that stand together, nearest after `position`, else before it."""
        links = [(at, target) for at, target in links if RESULT.search(target)]
        after = [target for at, target in links if at >= position]
        return after[:1] or [target for _, target in links][-1:]

    def _paragraph(self, paragraph):
        found = figures(paragraph.text)
        covered = []
        for snippet, values in (*self.claims, *self.facts):
            pattern = r"\s+".join(map(re.escape, snippet.split()))
            for match in re.finditer(pattern, paragraph.text):
                inside = [figure for figure in found if match.start() <= figure.start < match.end()]
                if not inside:
                    continue
                self.used.append(snippet)
                covered += inside
                if callable(values):
                    expected = values()
                    expected = expected if isinstance(expected, list | tuple) else [expected]
                    self._compared(paragraph, [figure.end for figure in inside])
                    agrees = len(inside) == len(expected) and all(map(Figure.is_rounded_from, inside, expected))
                    if not agrees:
                        self._fail(paragraph.line, snippet, f"should have {expected}")
        found = [figure for figure in found if figure not in covered]
        for index, figure in enumerate(found):
            if figure.unit == "interval":
                continue
            links = self._nearest(paragraph.links, figure.start)
            if not links:
                self._fail(paragraph.line, figure.text, "has no result beside it")
                continue
            ((name, values),) = self._results(links)
            pair = found[index : index + (2 if figure.unit == "±" else 1)]
            self._compared(paragraph, [figure.end for figure in pair])
            if disagreement(pair, values):
                self._fail(paragraph.line, figure.text, f"is not in {name}")

    def _row(self, caption, headings, row, printed, first_heading):
        for column, (start, end) in enumerate(cells(row)):
            text, heading = row.text[start:end].strip(), headings[column]
            # The 2 of "2nd" is no figure; what else is a number is one, alone or not.
            found = list(re.finditer(rf"(?<![\w.])(?:{DIGITS})(?!\w)", row.text[start:end]))
            if column == 0:
                if figures(text):
                    self._fail(row.line, text, "is a figure in a row's label")
                continue
            if heading.startswith("published"):
                continue
            own = [(at, target) for at, target in row.links if start <= at < end]
            beside = [self._nearest(own, start), self._nearest(row.links, start)]
            for links in (*beside, [target for _, target in caption.links if RESULT.search(target)]):
                names, results = zip(*self._results(links), strict=True) if links else ((), ())
                try:
                    expected = cell_values(headings, column, printed, names, results) if links else None
                except (AttributeError, KeyError) as error:
                    self._fail(row.line, printed, f"names nothing in {', '.join(names)}: {error!r}")
                    expected = []
                if expected is not None:
                    break
            else:
                if figures(text) or re.fullmatch(rf"−?(?:{DIGITS})\W*(?:(?:to )?−?(?:{DIGITS})\W*)*", text):
                    self._fail(row.line, text, f"stands under {heading!r}, and no result beside it has that")
                continue
            self._compared(row, [start + match.end() for match in found])
            as_printed = [Figure(*number(match[0]), "", *match.span(), text) for match in found]
            skipped = not text and re.fullmatch(r"\d+(?:st|nd|rd|th)", heading)
            right = len(found) == len(expected) and all(map(Figure.is_rounded_from, as_printed, expected))
            if not right and not skipped:
                self._fail(row.line, text, f"should be {expected} by {', '.join(names)}")
            if "accuracy" in results[0] and (why := another_run(printed, first_heading, results[0])):
                self._fail(row.line, text, f"is of another run: {names[0]} has {why}")


def compare(page, markdown=None):
    return Comparison(
        page,
        (ROOT / page).read_text() if markdown is None else markdown,
        [claim[1:] for claim in CLAIMS if claim[0] == page],
        [fact[1:] for fact in FACTS if fact[0] == page],
        TABLES_OF_FACTS.get(page, ()),
    )


def link_targets(page):
    """`(target, heading)` of the page's links within the project, outside of code."""
    paragraphs, tables = blocks((ROOT / page).read_text())
    for block in (*paragraphs, *(row for _, header, rows in tables for row in (header, *rows))):
        for _, target in block.links:
            if not re.match(r"https?:", target):
                path, _, heading = target.partition("#")
                yield (ROOT / page).parent / path if path else ROOT / page, heading


def anchors(path):
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


CHECKED = [page for page in PAGES if page not in GENERATED]


@pytest.mark.parametrize("page", CHECKED)
def test_every_figure_is_that_of_its_result(page):
    comparison = compare(page)
    assert not comparison.wrong, "\n".join(comparison.wrong)
    assert len(comparison.compared) >= COMPARED_AT_LEAST.get(page, 0)


@pytest.mark.parametrize("page", COMPARED_AT_LEAST)
def test_a_digit_that_is_changed_is_found_wherever_it_stands(page):
    markdown = (ROOT / page).read_text()
    missed = []
    for end in compare(page).compared:
        digit = markdown[end - 1]
        if not digit.isdigit():  # A number in words.
            continue
        other = str((int(digit) + 1) % 10)
        if not compare(page, markdown[: end - 1] + other + markdown[end:]).wrong:
            missed.append(f"{page}:{markdown.count(chr(10), 0, end) + 1}: {markdown[max(0, end - 30) : end]!r}")
    assert not missed


def test_what_is_said_of_pages_is_of_pages_that_are_there():
    assert {page for page, *_ in (*CLAIMS, *FACTS)} | set(TABLES_OF_FACTS) | set(COMPARED_AT_LEAST) <= set(CHECKED)


def test_a_claim_that_is_no_longer_on_its_page_is_named(made_up):
    path = made_up().page
    (message,) = Comparison(path, MADE_UP, claims=[("4.5 times as long", lambda: 4.5)]).wrong
    assert message.startswith(f"{path}: '4.5 times as long'")


MADE_UP = """# Made up

| `--method` | accuracy, % | published, % | meta-training episodes | flags |
|---|---|---|---|---|
| `maml`, 5-way 1-shot | 97.51 ± 0.32 | 12.3 [1] | 18,000 in 14 min | [json](results/run.json) |

A step takes 0.261 s, 261 ms, 3.6 times as long, with 1,300 MiB
at 3.8 episodes/s ([json](results/step.json)); it
scored 97.51 ± 0.32 % on 600 episodes ([json](results/run.json)).
"""
RUN = {
    "accuracy": 0.97513, "confidence_interval_95": 0.003175, "episodes": 600,
    "train_episodes": 18000, "train_seconds": 850.1,
    "method": "maml", "n_way": 5, "k_shot": 1, "flags": {"method": "maml"},
}  # fmt: skip
STEP = {
    "seconds_per_episode": 0.26135, "ratio_to_floor": 3.58,
    "peak_resident_bytes": 1363238912, "episodes_per_second": 3.826,
}  # fmt: skip


@pytest.fixture
def made_up(tmp_path):
    (tmp_path / "results").mkdir()
    for name, values in (("run", RUN), ("step", STEP)):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(values))

    def comparison(old="", new=""):
        assert old in MADE_UP
        return Comparison(str(tmp_path / "page.md"), MADE_UP.replace(old, new, 1))

    return comparison


def test_a_page_that_is_right_has_nothing_wrong(made_up):
    comparison = made_up()
    assert comparison.wrong == []
    assert len(comparison.compared) == 12


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("97.51 ±", "97.52 ±", 5),
        ("± 0.32 |", "± 0.31 |", 5),
        ("18,000", "17,000", 5),
        ("14 min", "15 min", 5),
        ("`maml`", "`fomaml`", 5),
        ("5-way", "20-way", 5),
        ("0.261 s", "0.271 s", 7),
        ("261 ms", "262 ms", 7),
        ("3.6 times", "3.7 times", 7),
        ("3.6 times", "five times", 7),
        ("1,300 MiB", "1,301 MiB", 7),
        ("3.8 episodes/s", "3.9 episodes/s", 7),
        ("± 0.32 %", "± 0.33 %", 7),
        ("600 episodes", "500 episodes", 7),
        ("([json](results/run.json)).", ".", 7),
        ("published, %", "memory, MiB", 5),
        ("| 18,000 in 14 min", "| none", 5),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_text(made_up, old, new, line):
    comparison = made_up(old, new)
    assert comparison.wrong
    assert all(message.startswith(f"{comparison.page}:{line}: '") for message in comparison.wrong)


def test_a_figure_without_a_result_is_named(tmp_path):
    for text in (
        "It is 3.4 times as fast.",
        "Half a minute.".lower(),
        "It takes 250,000 of them.",
        "At 98.25 it is best.",
    ):
        comparison = Comparison(str(tmp_path / "page.md"), f"# Page\n\n{text}\n")
        (message,) = comparison.wrong
        assert message.startswith(f"{tmp_path}/page.md:3: ")
        assert message.endswith("has no result beside it")


def test_code_versions_and_sizes_are_no_figures(tmp_path):
    text = "`3.4 times`, TensorFlow 2.21.0, Python 3.11, section 3.4, 84×84×3, 5-way 1-shot, 2017\n\n    takes 5 s\n"
    comparison = Comparison(str(tmp_path / "page.md"), text)
    assert (comparison.wrong, comparison.compared) == ([], [])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page):
    for path, heading in link_targets(page):
        assert path.exists(), path
        assert not heading or heading in anchors(path), f"{path}#{heading}"


def test_every_result_is_linked():
    linked = {path.resolve() for page in PAGES for path, _ in link_targets(page)}
    there = {path.resolve() for path in RESULTS.iterdir()}
    assert len(there) >= 50
    assert there <= linked


def test_every_commit_of_a_result_is_in_the_history():
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    if not (ROOT / ".git").exists() or git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("no git checkout with its history")
    history = set(git("log", "--format=%H").stdout.split())
    commits = {
        (path.name, record["commit"])
        for path in RESULTS.glob("*.json")
        for record in records(load(path))
        if "commit" in record
    }
    assert {name for name, _ in commits} == {path.name for path in RESULTS.glob("*.json")}
    assert [(name, commit) for name, commit in sorted(commits) if commit.removesuffix("+") not in history] == []
    assert {name for name, commit in commits if commit.endswith("+")} <= OF_MODIFIED_CODE
