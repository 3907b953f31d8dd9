/** Adds pictures that were chosen, dropped or built in to the app's state. */

import { characters, things } from "./examples.mjs";
import { grouped } from "./intake.mjs";
import * as states from "./state.mjs";

export const fromFile = (file) => ({ blob: file, name: file.name });

/**
 * Prepares pictures and adds each with `put(state, picture)`; shows which could not be read.
 *
 * @param app see `App`.
 * @param sources see `prepared`, or a promise of them.
 */
export function addPictures(app, sources, put) {
  return app.during(async () => {
    const problems = [];
    for (const source of await sources) {
      try {
        const picture = await app.prepared(source);
        app.state = put(app.state, picture);
      } catch (error) {
        problems.push(error.message);
      }
    }
    app.tell(problems.length > 3 ? `${problems[0]} (And ${problems.length - 1} more.)` : problems.join(" "));
    app.change((state) => state);
  });
}

/** Adds folders of pictures as classes; pictures in no folder also become a class. `found`: as from `dropped`, or a promise. */
export function addFolders(app, found) {
  return app.during(async () => {
    const groups = grouped(await found);
    if (!groups.length) app.tell("There are no images in this folder.");
    for (const { name, files } of groups) {
      const id = classFor(app, name);
      await addPictures(app, files.map(fromFile), (state, picture) => states.putPicture(state, id, picture));
    }
  });
}

/** The id of the class for a folder: one with its name, an empty one, or a new one. */
function classFor(app, name) {
  const unused = (one) => !one.pictures.length && /^Class \d+$/.test(one.name);
  const { classes } = app.state;
  const there = classes.find((one) => one.name === name) ?? classes.find(unused);
  if (!there) app.state = states.addClass(app.state, name || undefined);
  const { id } = there ?? app.state.classes.at(-1);
  if (name) app.state = states.renameClass(app.state, id, name);
  return id;
}

/** Fills in the example. */
export function fillIn(app) {
  return app.during(async () => {
    const live = app.drawsFirst;
    const { classes, queries } = live ? characters() : things();
    const source = (drawing) => (live ? { strokes: drawing } : { shapes: drawing });
    const ready = (drawings) => Promise.all(drawings.map((drawing) => app.prepared(source(drawing))));
    const [asked, ...taught] = await Promise.all([queries, ...classes.map((one) => one.drawings)].map(ready));
    let state = states.cleared(app.state);
    classes.forEach(({ name }, at) => {
      state = states.addClass(state, name);
      const { id } = state.classes.at(-1);
      for (const picture of taught[at]) state = states.putPicture(state, id, { ...picture, live });
    });
    for (const picture of asked) state = states.putQuery(state, { ...picture, live: live && picture === asked.at(-1) });
    app.tell("");
    app.change(() => state, { wait: 0 });
  });
}
