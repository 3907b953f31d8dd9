/** The ways in that a class and the question share: a live drawing pad, files, camera, clipboard, drops. */

import { fromFile } from "./app.mjs";
import { openCamera } from "./camera.mjs";
import { button } from "./dom.mjs";
import { acceptDrops, choose, pasted } from "./intake.mjs";
import { Pad } from "./pad.mjs";

/**
 * A pad whose drawing is a picture from the first stroke on.
 *
 * @param app see `App`.
 * @param label what is drawn.
 * @param put `(state, picture) => state`.
 * @param remove `(state, id) => state`.
 * @param newest `state => the id of the picture that was put last`.
 */
export class LivePad {
  #app;
  #id = null;
  #turn = 0;
  #how;

  constructor(app, label, how) {
    this.#app = app;
    this.#how = how;
    this.pad = new Pad({
      label,
      pen: app.pen,
      changed: (strokes, drawing) => this.#changed(strokes, drawing),
      next: () => this.next(),
    });
    this.element = this.pad.element;
  }

  /** Goes on with a picture that is a drawing already; with none where that has gone. */
  update(pictures) {
    const here = pictures.find((picture) => picture.id === this.#id);
    const live = here ?? pictures.find((picture) => picture.live && picture.source.strokes);
    if (live && live.id !== this.#id) {
      this.#id = live.id;
      this.pad.show(live.source.strokes, this.#app.pen);
    } else if (!live && this.#id !== null) {
      this.#id = null;
      this.pad.show([], this.#app.pen);
    } else this.pad.usePen(this.#app.pen);
  }

  /** Keeps the drawing as a picture and starts another. */
  next() {
    const id = this.#id;
    this.#turn += 1;
    this.#id = null;
    this.pad.show([]);
    this.pad.canvas.focus();
    if (id !== null) this.#app.change((state) => this.#how.keep(state, id), null);
  }

  async #changed(strokes, drawing) {
    const turn = (this.#turn += 1);
    if (!strokes.length) {
      const id = this.#id;
      this.#id = null;
      if (id !== null) this.#app.change((state) => this.#how.remove(state, id));
      return;
    }
    if (!this.#app.model) return;
    const picture = await this.#app.prepared({ strokes });
    // Of many at the same time the last one counts: the pen goes on while a picture is encoded.
    if (turn !== this.#turn) return;
    const known = this.#id === null ? {} : { id: this.#id };
    this.#app.change((state) => {
      const after = this.#how.put(state, { ...picture, ...known, live: true });
      this.#id ??= this.#how.newest(after);
      return after;
    }, drawing ? { live: true } : { wait: 60 });
  }
}

/**
 * Buttons for files, camera and clipboard.
 *
 * @param whose for whom, for who does not see it.
 * @param put `(state, picture) => state`.
 */
export function wayButtons(app, whose, put) {
  const add = (sources) => app.add(sources, put);
  const paste = async () => {
    try {
      add((await pasted()).map((blob) => ({ blob, name: "" })));
    } catch (error) {
      app.tell(error.message);
    }
  };
  return [
    ["Files", () => choose((found) => add(found.map(({ file }) => fromFile(file)))), "Choose picture files"],
    ["Camera", () => openCamera((canvas) => add([{ canvas }])), "Take pictures with the camera"],
    ["Paste", paste, "Paste a picture"],
  ].map(([text, click, words]) => button(text, () => app.model && click(), { title: words, "aria-label": `${words}: ${whose}` }));
}

/** Takes files that are dropped on a place, or pasted while the focus is in it. */
export function takeFiles(app, place, put) {
  acceptDrops(place, (found) => app.model && app.add(found.map(({ file }) => fromFile(file)), put));
  place.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    app.add(files.map(fromFile), put);
  });
}
