/**
 * The page's state: classes with their pictures, queries, and marks. It does not need a browser: each function takes a
 * state and returns a new one.
 *
 * A picture is `{id, bytes, type, width, height, name, problem}`; other modules add more fields. A query is
 * `{id, picture, answer, mark}`; its answer is `{scores: [{id, probability}], familiarity}` by class, in the order of the
 * cards.
 */

/** Used instead of a class's id for a picture of none of the classes. */
export const NONE = "none";

/** A picture with a familiarity below this belongs to none of the classes (docs/zoo.md). */
export const FAMILIAR = 0.05;

export function emptyState() {
  return { classes: [], queries: [], selected: null, marks: [], nextId: 1 };
}

/** Adds a class at the end. */
export function addClass(state, name) {
  const words = name ?? freeName(state);
  const added = { id: state.nextId, name: words, pictures: [] };
  return { ...state, classes: [...state.classes, added], nextId: state.nextId + 1 };
}

function freeName(state) {
  const taken = new Set(state.classes.map((one) => one.name));
  let number = state.classes.length + 1;
  while (taken.has(`Class ${number}`)) number += 1;
  return `Class ${number}`;
}

export function renameClass(state, id, name) {
  return withClass(state, id, (one) => ({ ...one, name }));
}

/** Removes a class and its marks. */
export function removeClass(state, id) {
  const marks = state.marks.filter((mark) => mark.truth !== id && mark.predicted !== id);
  const queries = state.queries.map((query) => ({
    ...query,
    mark: query.mark === id ? null : query.mark,
    answer: query.answer && without(query.answer, id),
  }));
  return { ...state, marks, queries, classes: state.classes.filter((one) => one.id !== id) };
}

function without(answer, id) {
  const scores = answer.scores.filter((score) => score.id !== id);
  return scores.length < 2 ? null : { ...answer, scores };
}

/** Adds a picture to a class, or replaces the one with its id; a picture without an id gets the next id. */
export function putPicture(state, classId, picture) {
  const [after, known] = identified(state, picture);
  return withClass(after, classId, (one) => ({ ...one, pictures: put(one.pictures, known) }));
}

/** Replaces a picture of a class or a query by the same one prepared for another model, if it still exists. */
export function replacePicture(state, before, after) {
  return eachPicture(state, (picture) => (picture.bytes === before.bytes ? { ...picture, ...after } : picture));
}

export function removePicture(state, classId, pictureId) {
  return withClass(state, classId, (one) => ({
    ...one,
    pictures: one.pictures.filter((picture) => picture.id !== pictureId),
  }));
}

/** Adds a query and selects it, or replaces the query with the picture's id. */
export function putQuery(state, picture) {
  const [after, known] = identified(state, picture);
  const old = state.queries.find((query) => query.id === known.id);
  const query = { id: known.id, answer: old?.answer ?? null, mark: null, picture: known };
  return { ...after, queries: put(state.queries, query), selected: known.id };
}

export function removeQuery(state, id) {
  const at = state.queries.findIndex((query) => query.id === id);
  const queries = state.queries.filter((query) => query.id !== id);
  const beside = queries[Math.min(at, queries.length - 1)]?.id ?? null;
  return { ...state, queries, selected: state.selected === id ? beside : state.selected };
}

export function select(state, id) {
  return { ...state, selected: id };
}

/** An empty state that keeps the counter, so that pictures still being read do not get ids that are in use. */
export function cleared(state) {
  return { ...emptyState(), nextId: state.nextId };
}

/**
 * Adds the server's answer to the queries.
 *
 * @param asked what was sent, see `question`.
 * @param outputs the server's `{classes, probabilities, familiarity?}`, classes by `label`.
 */
export function answered(state, asked, outputs) {
  const ids = outputs.classes.map(Number);
  const answers = new Map(
    asked.queries.map((query, row) => [
      query.id,
      {
        scores: inOrderOfCards(state, ids, outputs.probabilities[row]),
        familiarity: outputs.familiarity?.[row] ?? null,
      },
    ]),
  );
  const queries = state.queries.map((query) =>
    answers.has(query.id) ? { ...query, answer: answers.get(query.id) } : query,
  );
  return withoutProblems({ ...state, queries });
}

function inOrderOfCards(state, ids, probabilities) {
  const byId = new Map(ids.map((id, column) => [id, probabilities[column]]));
  return state.classes
    .filter((one) => byId.has(one.id))
    .map((one) => ({ id: one.id, probability: byId.get(one.id) }));
}

/** Sets the problem of a picture of a class or a query. */
export function withProblem(state, pictureId, problem) {
  return eachPicture(state, (picture) => (picture.id === pictureId ? { ...picture, problem } : picture));
}

export function withoutProblems(state) {
  return eachPicture(state, (picture) => (picture.problem ? { ...picture, problem: null } : picture));
}

/** The predicted class of an answer, or `NONE`. */
export function predicted(answer) {
  if (answer.familiarity !== null && answer.familiarity < FAMILIAR) return NONE;
  return likeliest(answer).id;
}

export function likeliest(answer) {
  return answer.scores.reduce((best, score) => (score.probability > best.probability ? score : best));
}

/** Records the true class of a query, a class's id or `NONE`, with the prediction at that time. */
export function mark(state, queryId, truth) {
  const query = state.queries.find((one) => one.id === queryId);
  if (!query?.answer) return state;
  const noted = { query: queryId, truth, predicted: predicted(query.answer) };
  const queries = state.queries.map((one) => (one.id === queryId ? { ...one, mark: truth } : one));
  return { ...state, queries, marks: [...state.marks.filter((one) => one.query !== queryId), noted] };
}

export function unmarkAll(state) {
  return { ...state, marks: [], queries: state.queries.map((query) => ({ ...query, mark: null })) };
}

/** The classes in use: those with a picture. */
export function usable(state) {
  return state.classes.filter((one) => one.pictures.length > 0);
}

/**
 * What is missing before the page can send a request, in words; null if nothing is.
 *
 * @param mostClasses maximum number of classes of the model; null for any number.
 */
export function lacking(state, mostClasses) {
  const classes = usable(state);
  if (mostClasses !== null && classes.length > mostClasses) {
    return `This model can distinguish at most ${mostClasses} classes, and ${classes.length} have images: remove ${classes.length - mostClasses}.`;
  }
  if (classes.length < 2) {
    const idle = state.classes.length - classes.length;
    if (classes.length + idle < 2) return "Two classes are needed: add one.";
    const more = 2 - classes.length;
    return `Add an image to ${more === 2 ? "two classes" : "another class"}: two classes with images are needed.`;
  }
  if (!state.queries.length) return "Ready. Add an image to classify.";
  return null;
}

/** The contents of a request, as ids and pictures: labels are the classes' ids, because names may be empty or equal. */
export function question(state) {
  const support = usable(state).flatMap((one) =>
    one.pictures.map((picture) => ({ id: picture.id, label: String(one.id), picture })),
  );
  return { support, queries: state.queries.map(({ id, picture }) => ({ id, picture })) };
}

function withClass(state, id, change) {
  return { ...state, classes: state.classes.map((one) => (one.id === id ? change(one) : one)) };
}

function identified(state, picture) {
  if (picture.id) return [state, picture];
  return [{ ...state, nextId: state.nextId + 1 }, { ...picture, id: state.nextId }];
}

function put(list, item) {
  const there = list.some((one) => one.id === item.id);
  return there ? list.map((one) => (one.id === item.id ? item : one)) : [...list, item];
}

function eachPicture(state, change) {
  return {
    ...state,
    classes: state.classes.map((one) => ({ ...one, pictures: one.pictures.map(change) })),
    queries: state.queries.map((query) => ({ ...query, picture: change(query.picture) })),
  };
}
