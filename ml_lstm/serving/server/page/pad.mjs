/** A drawing pad for pointers and the keyboard. */

import { button, element } from "./dom.mjs";
import { paintGround, paintStrokes } from "./raster.mjs";
import { begun, extended, undone } from "./strokes.mjs";

const PIXELS = 512;
const KEY_STEP = 1 / 32;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param label what is drawn, for screen readers.
 * @param pen see `penFor`.
 * @param changed called with the strokes, and whether the pen is still down.
 * @param next called for the button that starts another drawing.
 */
export class Pad {
  #strokes = [];
  #changed;
  #pen;
  #down = false;
  #cursor = null;
  #tools;

  constructor({ label, pen, changed, next }) {
    this.#changed = changed;
    this.#pen = pen;
    this.canvas = element("canvas", {
      width: PIXELS,
      height: PIXELS,
      tabIndex: 0,
      role: "img",
    });
    this.canvas.addEventListener("pointerdown", (event) => this.#press(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => this.#lift());
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("blur", () => this.#leave());
    this.#tools = [
      button("Undo", () => this.#set(undone(this.#strokes)), { title: "Undo the last stroke" }),
      button("Clear", () => this.#set([]), { title: "Clear the drawing" }),
      button("Next", () => next(), { title: "Keep this drawing and start another" }),
    ];
    const paper = element("div", { class: "paper" }, this.canvas);
    this.element = element("div", { class: "pad" }, paper, element("div", { class: "tools" }, ...this.#tools));
    this.name(label);
    this.show([], pen);
  }

  /** Labels the pad for screen readers. */
  name(label) {
    const how = "Arrow keys move the pen; the space key puts it down and lifts it.";
    this.canvas.setAttribute("aria-label", `Drawing pad: ${label}. ${how}`);
    for (const tool of this.#tools) tool.setAttribute("aria-label", `${tool.title}: ${label}`);
  }

  /** Shows strokes that were not drawn here, and changes the pen. */
  show(strokes, pen = this.#pen) {
    this.#strokes = strokes;
    this.#pen = pen;
    this.#paint();
  }

  /** Changes the pen, if it differs. */
  usePen(pen) {
    if (pen === this.#pen) return;
    this.#pen = pen;
    this.#paint();
  }

  #set(strokes, drawing = false) {
    if (strokes === this.#strokes) return;
    this.#strokes = strokes;
    this.#paint();
    this.#changed(strokes, drawing);
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = (value) => Math.min(Math.max(value, 0), 1);
    return [part((event.clientX - box.left) / box.width), part((event.clientY - box.top) / box.height)];
  }

  #press(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#down = true;
    this.#cursor = null;
    this.#set(begun(this.#strokes, this.#point(event)), true);
  }

  #move(event) {
    if (!this.#down) return;
    const events = event.getCoalescedEvents?.() ?? [];
    const all = events.length ? events : [event];
    this.#set(all.reduce((strokes, one) => extended(strokes, this.#point(one)), this.#strokes), true);
  }

  #lift() {
    if (!this.#down) return;
    this.#down = false;
    this.#changed(this.#strokes, false);
  }

  #key(event) {
    if (event.key === " ") {
      this.#cursor ??= [0.5, 0.5];
      if (this.#down) this.#lift();
      else {
        this.#down = true;
        this.#set(begun(this.#strokes, this.#cursor), true);
      }
    } else if (event.key in MOVES) {
      const [x, y] = this.#cursor ?? [0.5, 0.5];
      const [right, down] = MOVES[event.key];
      const part = (value) => Math.min(Math.max(value, 0.02), 0.98);
      this.#cursor = [part(x + right * KEY_STEP), part(y + down * KEY_STEP)];
      if (this.#down) this.#set(extended(this.#strokes, this.#cursor), true);
    } else return;
    event.preventDefault();
    this.#paint();
  }

  #leave() {
    this.#lift();
    this.#cursor = null;
    this.#paint();
  }

  #paint() {
    const context = this.canvas.getContext("2d");
    paintGround(context, PIXELS, this.#pen);
    paintStrokes(context, this.#strokes, PIXELS, this.#pen);
    this.element.classList.toggle("drawn", this.#strokes.length > 0);
    if (!this.#cursor) return;
    context.lineWidth = 4;
    context.strokeStyle = this.#down ? "#d33" : "#36c";
    context.beginPath();
    context.arc(this.#cursor[0] * PIXELS, this.#cursor[1] * PIXELS, 14, 0, 2 * Math.PI);
    context.stroke();
  }
}
