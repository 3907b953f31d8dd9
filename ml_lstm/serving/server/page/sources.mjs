/** Inputs shared by classes and the question: a live drawing pad, files, camera, clipboard, drops. */

import { openCamera } from "./camera.mjs";
import { button } from "./dom.mjs";
import { acceptDrops, choose, pasted } from "./intake.mjs";
import { Pad } from "./pad.mjs";
import { addPictures, fromFile } from "./pictures.mjs";

/**
 * A pad whose drawing is a picture from its first stroke.
 *
 * @param app see `App`.
 * @param label what is drawn.
 * @param put `(state, picture) => state`.
 * @param remove `(state, id) => state`.
 * @param newest `state => the id of the picture added last`.
 */
export class LivePad {
  #app;
  #now = another();
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

  /** Continues an existing drawing; starts empty if it was removed. */
  update(pictures) {
    const here = pictures.find((picture) => picture.id === this.#now.id);
    const live = here ?? pictures.find((picture) => picture.live && picture.source.strokes);
    if (live ? live.id === this.#now.id : this.#now.id === null) return this.pad.usePen(this.#app.pen);
    this.#now.turn += 1; // its running work is no longer needed
    this.#now = another(live?.id);
    this.pad.show(live?.source.strokes ?? [], this.#app.pen);
  }

  /** Keeps the drawing as a picture and starts another. */
  next() {
    const done = this.#now;
    this.#now = another();
    done.live = false;
    this.pad.show([]);
    this.pad.canvas.focus();
    if (done.id !== null) this.#app.change((state) => this.#how.keep(state, done.id), null);
  }

  #changed(strokes, drawing) {
    const mine = this.#now;
    const turn = (mine.turn += 1);
    if (!strokes.length) {
      this.#now = another();
      if (mine.id !== null) this.#app.change((state) => this.#how.remove(state, mine.id));
      return;
    }
    if (!this.#app.model) return;
    this.#app.during(async () => {
      const picture = await this.#app.prepared({ strokes });
      // Only the last of several counts: the pen may move on while a picture is encoded.
      if (turn === mine.turn) this.#put(mine, picture, drawing ? { live: true } : { wait: 60 });
    });
  }

  #put(drawing, picture, ask) {
    const known = drawing.id === null ? {} : { id: drawing.id };
    this.#app.change((state) => {
      const after = this.#how.put(state, { ...picture, ...known, live: drawing.live });
      drawing.id ??= this.#how.newest(after);
      return after;
    }, ask);
  }
}

/** A drawing: the id of its picture, if it has one; its number of changes; whether it is on the pad. */
function another(id = null) {
  return { id, turn: 0, live: true };
}

/**
 * Buttons for files, camera and clipboard.
 *
 * @param whose what the pictures are for, for screen readers.
 * @param put `(state, picture) => state`.
 */
export function wayButtons(app, whose, put) {
  const add = (sources) => addPictures(app, sources, put);
  const paste = async () => {
    try {
      add((await pasted()).map((blob) => ({ blob, name: "" })));
    } catch (error) {
      app.tell(error.message);
    }
  };
  return [
    ["Files", () => choose((found) => add(found.map(({ file }) => fromFile(file)))), "Choose image files"],
    ["Camera", () => openCamera((canvas) => add([{ canvas }])), "Take photos with the camera"],
    ["Paste", paste, "Paste an image"],
  ].map(([text, click, words]) => button(text, () => app.model && click(), { title: words, "aria-label": `${words}: ${whose}` }));
}

/** Accepts files that are dropped on an element, or pasted while the focus is in it. */
export function takeFiles(app, place, put) {
  const files = async (found) => (await found).map(({ file }) => fromFile(file));
  acceptDrops(place, (found) => app.model && addPictures(app, files(found), put));
  place.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    addPictures(app, files.map(fromFile), put);
  });
}
