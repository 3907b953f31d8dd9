"""The page in a browser: drawing and asking, files, states of the server, keyboard, screens, accessibility."""

import base64
import io
import json
import re
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml_lstm import zoo
from tests.page.person import (
    BAR,
    CROSS,
    DASHES,
    GLYPHS,
    PATIENCE,
    ROOF,
    Person,
    invented,
    picture_file,
    pixels,
    shifted,
)
from tests.serving.conftest import Server

PREDICT = re.compile(":predict$")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 960}},
    "dark": {"viewport": {"width": 1280, "height": 960}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
}
TIME_OF_AN_EXAMPLE = """() => new Promise((done) => {
    const status = document.querySelector("#status");
    const begun = performance.now();
    const look = (_, observer) => {
        if (status.dataset.kind !== "answered") return;
        observer.disconnect();
        done(performance.now() - begun);
    };
    new MutationObserver(look).observe(status, { attributes: true });
    document.querySelector("#example").click();
})"""
"""Clicks "Try an example"; the milliseconds until it is answered."""
RED, BLUE = picture_file((220, 20, 20)), picture_file((20, 20, 220))


@pytest.fixture
def person(page):
    """Someone in front of the page as it opens."""
    return Person(page)


@pytest.fixture
def taught(person):
    """The same with two classes and a question, answered."""
    person.teach({"cross": CROSS, "bar": BAR})
    person.ask(BAR)
    assert person.answer() == "bar"
    return person


def test_the_page_says_what_the_model_is(page):
    assert page.inner_text("#card") == (
        "Learned on: Nothing: it compares pixels. With 5 new classes and one image of each, 50 % of its answers are "
        "right. Not reliable for: Everything but tests."
    )
    page.click("#caveats summary")
    assert page.locator("#caveats li").all_inner_texts() == ["Faces.", "Any number of classes."]


def test_an_example_is_answered_at_one_click(page):
    assert page.evaluate(TIME_OF_AN_EXAMPLE) < 15_000  # of a busy machine; an idle one takes a fraction of a second
    Person(page).settled("Learned 5 classes from 5 images")
    assert page.locator(".card").count() == 5
    assert re.search(r"and answered in \d+ ms$", page.inner_text("#status"))
    assert page.locator("#queries li").count() == 3
    assert all(text.endswith(" %") for text in page.locator(".bars .share").all_inner_texts())


def test_five_glyphs_are_drawn_and_told_apart(person):
    person.teach(GLYPHS)
    for name, strokes in GLYPHS.items():
        person.ask(shifted(strokes, 0.02, -0.02))
        assert person.answer() == name
        assert set(person.shares()) == set(GLYPHS)
        person.page.click("#ask >> text=Next")
    assert person.page.locator("#queries li").count() == 5
    assert person.page.inner_text("#spoken") == f"Answer: dashes, {person.shares()['dashes']}"


def test_it_answers_while_the_pen_moves(taught):
    page = taught.page
    page.click("#ask >> text=Clear")
    page.locator("#answer").wait_for(state="hidden")
    pad = page.locator("#ask canvas").bounding_box()
    page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + 20)
    page.mouse.down()
    page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] - 20, steps=10)
    page.locator("#answer.stale .headline", has_text="bar").wait_for()  # and the pen is down
    assert page.inner_text("#spoken") == ""
    page.mouse.up()
    assert taught.answer() == "bar"


@pytest.mark.parametrize("size", [(1280, 900), (1280, 720), (390, 844)])
def test_the_pad_stays_where_it_is_under_the_pen(new_page, size):
    """Whatever appears around it as the first strokes are answered."""
    page = new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
    person = Person(page)
    person.teach(GLYPHS)
    pad = page.locator("#question .pad canvas")
    pad.scroll_into_view_if_needed()
    place = pad.bounding_box()
    for stroke in DASHES:
        person.ask([stroke])
        assert pad.bounding_box() == place
        person.settled()
        assert pad.bounding_box() == place


HOLD_PICTURES = """() => {
    const encode = HTMLCanvasElement.prototype.toBlob;
    const held = [];
    HTMLCanvasElement.prototype.toBlob = function (...how) { held.push(() => encode.apply(this, how)); };
    window.letGo = () => {
        HTMLCanvasElement.prototype.toBlob = encode;
        held.forEach((one) => one());
    };
}"""
"""Has no drawing encoded until `letGo()`, as on a machine that has much else to do."""


def test_no_answer_counts_while_a_newer_one_is_due(taught):
    page = taught.page
    assert page.inner_text("#spoken") == f"Answer: bar, {taught.shares()['bar']}"
    page.evaluate(HOLD_PICTURES)
    taught.ask([[(0.1, 0.1), (0.2, 0.1)]])
    assert page.get_attribute("#status", "data-kind") == "thinking"
    assert page.get_attribute("#answer", "aria-busy") == "true"
    assert page.locator("#answer.stale .marking button:disabled").count() == 1
    assert page.inner_text("#spoken") == ""
    page.evaluate("letGo()")
    taught.settled()
    assert page.get_attribute("#answer", "aria-busy") == "false"
    assert page.inner_text("#spoken") == f"Answer: {taught.answer()}, {taught.shares()[taught.answer()]}"


def test_the_last_stroke_before_next_is_kept(person):
    page, card = person.page, person.card(0)
    page.evaluate(HOLD_PICTURES)
    person.draw(card, CROSS)
    card.get_by_text("Next").click()
    person.draw(card, BAR)
    page.evaluate("letGo()")
    card.locator(".pictures li").nth(1).wait_for(state="attached")
    kept = card.locator(".pictures li:visible canvas")
    assert kept.count() == 1
    image = pixels(kept)[..., 0]
    side = len(image)
    assert min(image[side // 4, side // 4], image[side // 4, -side // 4]) < 128  # both strokes of the cross
    assert image[side // 5, side // 2] > 128  # and none of the bar


def test_what_is_cleared_while_it_is_read_stays_away(person):
    person.page.evaluate(HOLD_PICTURES)
    person.ask(CROSS)
    person.page.click("#ask >> text=Clear")
    person.draw(person.card(0), BAR)
    person.page.evaluate("letGo()")
    person.says("image to another class")
    assert person.page.locator("#queries li").count() == 0


def test_a_model_that_cannot_be_had_is_told_and_the_choice_taken_back(taught):
    page = taught.page
    page.route("**/learner/metadata", lambda route: route.fulfill(status=503, json={"error": "It is being loaded."}))
    page.select_option("#models", "learner")
    page.locator("#notice >> text=It is being loaded.").wait_for()
    assert taught.answer() == "bar"
    assert page.locator("#models").input_value() == "drawings"


def test_undo_clear_and_next(taught):
    card = taught.card(0)
    pad = card.locator(".pad canvas")
    whole = pixels(pad)
    card.get_by_text("Undo").click()
    assert (pixels(pad) == 255).mean() > (whole == 255).mean()
    card.get_by_text("Next").click()
    taught.draw(card, CROSS)
    taught.settled("from 3 images")
    card.get_by_text("Clear").click()
    taught.settled("from 2 images")
    assert (pixels(pad) == 255).all()


def test_what_is_sent_is_what_was_drawn_at_some_times_the_models_size(taught):
    with taught.page.expect_request(PREDICT) as sent:
        taught.draw(taught.card(0), [[(0.1, 0.1), (0.9, 0.1)]])
    body = json.loads(sent.value.post_data)
    assert body["signature_name"] == "adapt_and_predict_encoded"
    names = {"support_images", "support_labels", "query_images"}
    assert set(body["inputs"]) == names and len(set(body["inputs"]["support_labels"])) == 2
    (query,) = body["inputs"]["query_images"]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(query["b64"]))).convert("L"))
    assert image.shape == (96, 96)
    assert image[48, 48] == 0 and image[48, 10] == 255
    # The glyphs' own pens are 0.032 to 0.056 wide.
    assert 0.03 < (image[48] < 128).mean() < 0.06


def test_files_are_dropped_chosen_and_removed(person):
    page = person.page
    person.choose_model("photographs", 20)
    person.drop(person.card(0), ("1.png", "image/png", RED), ("2.png", "image/png", RED))
    with page.expect_file_chooser() as chooser:
        person.card(1).get_by_text("Files").click()
    chooser.value.set_files([{"name": "b.png", "mimeType": "image/png", "buffer": BLUE}])
    person.drop(page.locator("#question"), ("q.png", "image/png", BLUE))
    assert person.answer() == "Class 2"
    assert person.card(0).locator(".pictures li").count() == 2
    person.card(0).locator(".pictures li").first.hover()
    person.card(0).locator(".pictures .remove").first.click()
    person.settled("from 2 images")
    assert page.locator("#notice").is_hidden()


def test_a_file_that_is_no_picture_is_named(person):
    person.drop(person.card(0), ("letter.png", "image/png", b"no picture"), ("1.png", "image/png", RED))
    notice = person.page.locator("#notice")
    notice.wait_for()
    assert notice.inner_text() == "letter.png is not an image that this browser can read."
    assert person.card(0).locator(".pictures li").count() == 1


def test_a_photograph_is_turned_and_shrunk_before_it_is_sent(person):
    person.choose_model("photographs", 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    photograph = Image.new("RGB", (1600, 1200), (20, 20, 220))
    photograph.paste((220, 20, 20), (0, 0, 800, 1200))  # left, and so above once it is turned
    file = io.BytesIO()
    photograph.save(file, "JPEG", exif=exif)
    person.drop(person.card(0), ("photo.jpg", "image/jpeg", file.getvalue()))
    shown = person.card(0).locator(".pictures canvas")
    shown.wait_for()
    image = pixels(shown)
    assert image.shape[:2] == (54, 40)  # 1200 x 1600 by 30: the shorter edge twice the model's 20 pixels
    assert image[5, 20, 0] > 150 > 100 > image[-5, 20, 0]
    person.page.check("#seen")
    person.until("document.querySelector('.pictures canvas').width === 20")
    assert pixels(shown).shape[:2] == (20, 20)


def test_pictures_are_pasted_where_the_focus_is(person):
    paste = """([place, b64]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(b64), (sign) => sign.charCodeAt(0));
        transfer.items.add(new File([bytes], "p.png", { type: "image/png" }));
        place.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
    }"""
    b64 = base64.b64encode(RED).decode()
    person.page.evaluate(paste, [person.card(1).locator("input").element_handle(), b64])
    person.card(1).locator(".pictures li").wait_for()
    person.page.evaluate(paste, [person.page.locator("body").element_handle(), b64])
    person.page.locator("#queries li").wait_for()


def test_a_folder_of_class_folders_becomes_classes(person, tmp_path):
    for name, data in {"ape/1.png": RED, "ape/2.png": RED, "bee/1.png": BLUE, "bee/notes.txt": b"x"}.items():
        (tmp_path / "zoo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "zoo" / name).write_bytes(data)
    with person.page.expect_file_chooser() as chooser:
        person.page.click("#add-folder")
    chooser.value.set_files(tmp_path / "zoo")
    person.card(1).locator(".pictures li").wait_for()
    assert [person.card(at).locator("input").input_value() for at in (0, 1)] == ["ape", "bee"]
    assert [person.card(at).locator(".pictures li").count() for at in (0, 1)] == [2, 1]


def test_the_camera_takes_pictures_while_its_button_is_held(person):
    page = person.page
    person.card(0).get_by_text("Camera").click()
    person.until("document.querySelector('video').videoWidth > 0")
    page.locator(".take").hover()
    page.mouse.down()
    page.locator("#camera >> text=2 taken").wait_for()
    page.mouse.up()
    page.click("#camera .close")
    person.card(0).locator(".pictures li").nth(1).wait_for()
    assert page.evaluate("document.querySelector('video').srcObject.getTracks().every(t => t.readyState === 'ended')")


def test_an_empty_class_is_left_out_and_one_class_is_too_few(person):
    person.says("image to two classes")
    person.draw(person.card(0), CROSS)
    person.says("image to another class")
    person.draw(person.card(1), BAR)
    person.says("Ready")
    person.page.click("#add-class")
    person.ask(BAR)
    assert len(person.shares()) == 2


def test_more_classes_than_the_model_tells_apart_are_refused_in_words(person):
    person.choose_model("learner", 16)
    person.teach(dict(list(GLYPHS.items())[:3]))
    assert person.page.locator("#add-class").is_disabled()
    person.ask(BAR)
    person.answer()
    person.choose_model("drawings", 24)
    person.page.click("#add-class")
    person.draw(person.card(3), ROOF)
    person.settled("4 classes")
    person.page.select_option("#models", "learner")
    person.page.locator("#classes-problem >> text=at most 3 classes, and 4 have images: remove 1.").wait_for()
    person.card(3).locator(".head button").click()
    assert person.answer()


def _refuse(page, status, error, headers=None):
    """Has requests refused until `page.unroute(PREDICT)`: a stroke is more than one."""
    page.route(PREDICT, lambda route: route.fulfill(status=status, json={"error": error}, headers=headers or {}))


def test_a_busy_server_is_told_at_the_picture_and_asked_again(taught):
    _refuse(taught.page, 429, "The server is busy", {"Retry-After": "1"})
    taught.draw(taught.card(0), [[(0.3, 0.5), (0.6, 0.5)]])
    problem = taught.page.locator("#queries .problem:visible")
    problem.wait_for()
    assert problem.inner_text() == "The server is busy. The page tries this image again in 1 s."
    assert taught.page.locator("#answer.stale").is_visible()  # dimmed, never blank
    taught.page.unroute(PREDICT)
    assert taught.answer()
    assert not problem.count()


def test_too_large_is_told_at_the_largest_picture(taught):
    _refuse(taught.page, 413, "The request is too large: its body has 9, and this server takes at most 2048.")
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    taught.drop(taught.card(1), ("noise.png", "image/png", file.getvalue()))
    problem = taught.card(1).locator(".pictures .problem:visible")
    problem.wait_for()
    assert "too large for the server (2 KB). This one is the largest" in problem.inner_text()
    taught.page.unroute(PREDICT)
    taught.card(1).locator(".wrong .remove").click()
    assert taught.answer() == "bar"


def test_a_picture_that_the_model_cannot_read_is_marked(taught):
    _refuse(taught.page, 400, "support_images: the image at index 1 is damaged: save it again, or leave it out.")
    taught.draw(taught.card(0), [[(0.3, 0.5), (0.6, 0.5)]])
    problem = taught.card(1).locator(".pictures .problem:visible")
    problem.wait_for()
    assert "is damaged" in problem.inner_text()


def test_a_strange_picture_is_of_none_of_these(taught):
    def stranger(route):
        answer = route.fetch().json()
        answer["outputs"]["familiarity"] = [0.01]
        route.fulfill(json=answer)

    assert taught.page.locator("#answer >> text=always chooses one of the classes").is_visible()
    taught.page.route(PREDICT, stranger)
    taught.ask([[(0.1, 0.1), (0.2, 0.1)]])
    assert taught.answer() == "None of these"
    assert taught.page.inner_text("#spoken") == "Answer: None of these"
    assert taught.shares()["None of these"] == "likely"
    assert "1 % look at least as unusual as this one" in taught.page.inner_text("#answer")


def test_answers_are_marked_right_and_wrong(taught):
    page = taught.page
    page.click("#answer >> text=Right")
    page.click("#ask >> text=Next")
    taught.ask(CROSS)
    assert taught.answer() == "cross"
    page.select_option(".marking select", label="bar")
    assert page.inner_text("#tally .tools span") == "1 of 2 right (50 %)"
    page.click("#tally summary")
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#tally tr").all()[1:]]
    assert rows == [["0", "0"], ["1", "1"]]
    page.click("#tally >> text=Start over")
    assert page.locator("#tally").is_hidden()


def test_a_hostile_name_is_text(taught):
    page = taught.page
    name = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    taught.name(1, name)
    taught.draw(taught.card(0), [[(0.3, 0.5), (0.6, 0.5)]])
    assert taught.answer() == name
    page.click("#answer >> text=Right")
    page.click("#tally summary")
    page.click("#takeaway summary")
    assert name in taught.shares()
    assert name in page.locator(".marking option").all_inner_texts() + page.locator("#tally th").all_inner_texts()
    assert page.evaluate("window.hacked === undefined && !document.querySelector('main img, main script')")


def test_pictures_are_taken_away_as_the_command_line_takes_them(taught):
    page = taught.page
    page.click("#takeaway summary")
    with page.expect_download() as download:
        page.click("text=Download the images")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sorted(archive.namelist()) == ["query/001.png", "support/bar/001.png", "support/cross/001.png"]
        assert Image.open(io.BytesIO(archive.read("query/001.png"))).size == (96, 96)
    assert "curl 'http://127.0.0.1" in page.inner_text("#takeaway pre")
    page.locator("#takeaway button", has_text="as Python").click()
    assert "urllib.request" in page.inner_text("#takeaway pre")


def _open_how_it_learned(page):
    page.click("#learned summary")
    page.locator("#learned .inside[aria-busy=false] svg").nth(2).wait_for()


def test_how_it_learned_is_drawn(person):
    page = person.page
    person.choose_model("learner", 16)
    person.teach({"cross": CROSS, "bar": BAR})
    _open_how_it_learned(page)
    assert "In 2 inner steps the loss on your images" in page.inner_text("#learned")
    assert page.locator("#learned svg").first.locator("circle").count() == 3
    assert page.locator("#learned svg").nth(1).locator("circle").count() == 10
    page.select_option("#models", "drawings")
    page.locator("#learned").wait_for(state="hidden")


def _tab_to(page, selector):
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_everything_is_done_by_keyboard_alone(page):
    person, keys = Person(page), page.keyboard
    for number, arrow in ((1, "ArrowDown"), (2, "ArrowRight")):
        _tab_to(page, f".card:nth-child({number}) input")
        keys.press("Control+A")
        keys.type(arrow)
        _tab_to(page, f".card:nth-child({number}) canvas")
        _line(keys, arrow)
    _tab_to(page, "#ask canvas")
    _line(keys, "ArrowRight")
    assert person.answer() == "ArrowRight"
    _tab_to(page, ".marking button")
    keys.press("Enter")
    assert page.locator("#tally").is_visible()


def _line(keys, arrow):
    back = {"ArrowDown": "ArrowUp", "ArrowRight": "ArrowLeft"}[arrow]
    for key in [back] * 8 + [" "] + [arrow] * 16 + [" "]:
        keys.press(key)


def test_focus_stays_near_a_class_that_is_removed(person):
    person.page.click("#add-class")
    person.card(1).locator(".head button").focus()
    person.page.keyboard.press("Enter")
    assert person.page.locator(".card").count() == 2
    assert person.page.evaluate("document.activeElement === document.querySelectorAll('.card input')[1]")


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_all_without_scrolling_sideways(new_page, width):
    page = new_page(viewport={"width": width, "height": 700}, has_touch=True, is_mobile=True)
    page.tap("#example")
    Person(page).settled()
    page.click("#takeaway summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [button.bounding_box() for button in page.locator("button:visible").all()]
    assert all(box["width"] >= 24 and box["height"] >= 24 for box in boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(new_page, scheme):
    try:
        import axe_playwright_python
    except ModuleNotFoundError:
        pytest.skip("axe-core is not installed: pip install '.[dev]'")
    page = new_page(color_scheme=scheme, reduced_motion="reduce")  # colors are at rest at once
    page.click("#example")
    Person(page).settled()
    page.click("#answer >> text=Right")
    for part in ("#tally", "#takeaway", "#caveats"):
        page.click(f"{part} summary")
    page.check("#seen")
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document).then(result => result.violations)")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=2)


def test_motion_is_reduced_for_those_who_ask_for_it(new_page):
    page = new_page(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('#answer')).transitionDuration") == "0s"


@pytest.mark.slow
def test_a_newer_version_is_taken_up_and_told(taught, export_again):
    export_again()
    notice = taught.page.locator("#notice >> text=Version 2 has replaced version 1")
    notice.wait_for(timeout=300_000)
    assert taught.answer() == "bar"


@pytest.mark.slow
def test_a_server_that_stops_and_comes_back_loses_nothing(new_page, models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = (f"--model_base_path={models / 'photographs'}", f"--rest_api_port={port}")
    first = Server(tmp_path / "first", *flags)
    page = new_page(first.url)
    person = Person(page)
    person.drop(person.card(0), ("1.png", "image/png", RED))
    person.drop(person.card(1), ("2.png", "image/png", BLUE))
    person.drop(page.locator("#question"), ("q.png", "image/png", BLUE))
    assert person.answer() == "Class 2"
    first.stop()
    person.drop(person.card(0), ("3.png", "image/png", RED))
    person.says("Nothing is lost")
    second = Server(tmp_path / "second", *flags)
    try:
        person.settled("from 3 images")
        assert person.answer() == "Class 2"
    finally:
        second.stop()


def test_screenshots(request, browser, tmp_path):
    """Takes the pictures of the documentation, `pytest tests/page --screenshots`; checks that they stay small."""
    model = request.config.getoption("--screenshots")
    if model is None:
        pytest.skip("screenshots are taken on demand: --screenshots")
    flag = f"--model_base_path={model}" if "/" in model else f"--model={model}"
    server = Server(tmp_path / "log", flag)
    try:
        for name, options in SCREENS.items():
            page = browser.new_page(reduced_motion="reduce", **options)  # bars are at rest at once
            page.goto(server.url)
            page.locator(".card").first.wait_for()
            page.click("#example")
            Person(page).settled()
            _open_how_it_learned(page)
            page.mouse.move(0, 0)
            path = IMAGES / f"page-{name}.png"
            shown = "#question" if name == "phone" else "body"
            page.evaluate("selector => document.querySelector(selector).scrollIntoView()", shown)
            page.screenshot(path=path, full_page=name != "phone")
            # By the most coverage: cuts at medians leave out colors that few pixels have.
            few = Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(path, optimize=True)
            assert path.stat().st_size < 200_000
            page.close()
    finally:
        server.stop()


@pytest.mark.slow
def test_the_zoos_characters_are_drawn_by_hand_and_told_apart(browser, tmp_path):
    if "characters" not in zoo.names():
        pytest.skip("the zoo has no model `characters`")
    server = Server(tmp_path / "log", "--model=characters")
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server.url)
        person = Person(page)
        person.card(0).wait_for()
        right, strange = np.mean([_episode(person, np.random.default_rng(seed)) for seed in range(10)], axis=0)
    finally:
        server.stop()
    assert right >= 0.9, (right, strange)
    assert strange <= 0.2, (right, strange)


def _episode(person, rng):
    """Teaches five new characters by one drawing each, asks for another of each.

    Returns:
        The shares told apart rightly, and of those that the page takes for none of these, their likeliest class aside.
    """
    person.page.click("#clear-all")
    hands = {f"character {number}": invented(rng) for number in range(5)}
    person.teach({name: first for name, (first, _) in hands.items()})
    right = strange = 0
    for name, (_, second) in hands.items():
        person.ask(second)
        strange += person.answer() == "None of these"
        right += person.likeliest() == name
        person.page.click("#ask >> text=Clear")
    return right / len(hands), strange / len(hands)
