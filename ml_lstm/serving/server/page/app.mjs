/** The page's heart: its state, its model, and the requests that follow from changes. */

import { modelOf, versionsOf } from "./card.mjs";
import { characters, things } from "./examples.mjs";
import { grouped } from "./intake.mjs";
import { prepared } from "./raster.mjs";
import { Asker, Problem, askBody, explainBody, modelPath, post } from "./requests.mjs";
import * as states from "./state.mjs";
import { learnsDrawings, penFor } from "./strokes.mjs";

const LOOK_EVERY = 5000; // milliseconds, for new versions

export class App {
  state = states.emptyState();
  model = null;
  models = [];
  pen = penFor(null);
  seeing = false;
  /** `{kind, words}`, kind: "wait", "thinking", "answered", "problem". */
  status = { kind: "wait", words: "Looking for models…" };
  notice = "";
  problem = null;
  explanation = null;
  explaining = false;
  #render;
  fixed = null; // the version that was chosen, unless it is the newest
  #asker;
  #explainer;

  constructor(render) {
    this.#render = render;
    const send = (signal) => this.#ask(signal);
    this.#asker = new Asker(send, {
      thinking: () => this.#say("thinking", "Thinking…"),
      answer: (answer, milliseconds) => this.#answered(answer, milliseconds),
      problem: (problem) => this.#failed(problem),
    });
    this.#explainer = new Asker((signal) => this.#explain(signal), {
      thinking: () => {},
      answer: (explanation) => this.#set({ explanation }),
      problem: (problem) => problem.kind === "down" || this.#set({ explanation: { problem: problem.message } }),
    });
  }

  get drawsFirst() {
    return learnsDrawings(this.model?.card);
  }

  /** Finds the server's models; goes on looking, also for new versions. */
  async start() {
    await this.look();
    setInterval(() => document.hidden || this.look(), LOOK_EVERY);
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
  }

  /**
   * Changes the state.
   *
   * @param step from a state to the next.
   * @param ask options of `Asker.ask`, or null where no answer depends on it.
   */
  change(step, ask = {}) {
    this.state = step(this.state);
    if (ask) this.#want(ask);
    this.#render(this);
  }

  #set(changes) {
    Object.assign(this, changes);
    this.#render(this);
  }

  #say(kind, words) {
    this.#set({ status: { kind, words } });
  }

  /** Tells something that is no answer: what was chosen is no picture, say. */
  tell(notice) {
    this.#set({ notice });
  }

  #want(ask) {
    const lacks = this.model ? states.lacking(this.state, this.model.mostClasses) : "Looking for models…";
    this.problem = null;
    if (lacks) {
      this.#asker.stop();
      this.status = { kind: "wait", words: lacks };
    } else {
      this.#asker.ask(ask);
    }
    this.#wantExplanation();
  }

  /** Whether "How it learned" is open. */
  explain(open) {
    this.explaining = open;
    this.#wantExplanation();
    this.#render(this);
  }

  #wantExplanation() {
    const ready = this.model?.explains && states.usable(this.state).length > 1;
    if (!ready) {
      this.#explainer.stop();
      this.explanation = null;
    } else if (this.explaining) this.#explainer.ask({ wait: 400 });
  }

  get #path() {
    return modelPath(this.model.name, this.fixed, ":predict");
  }

  /** Where requests go, for those who take them elsewhere. */
  get url() {
    return this.model ? new URL(this.#path, location.href).href : "";
  }

  async #ask(signal) {
    const asked = states.question(this.state);
    const outputs = await post(fetch.bind(window), this.#path, askBody(asked), signal, asked, this.state.selected);
    return { asked, outputs };
  }

  async #explain(signal) {
    const asked = states.question(this.state);
    return post(fetch.bind(window), this.#path, explainBody(asked), signal, asked, null);
  }

  #answered({ asked, outputs }, milliseconds) {
    this.state = states.answered(this.state, asked, outputs);
    const [pictures, classes] = [asked.support.length, new Set(asked.support.map((one) => one.label)).size];
    const words = `Learned ${classes} classes from ${pictures} pictures and answered in ${Math.round(milliseconds)} ms`;
    this.notice = this.problem?.kind === "down" ? "" : this.notice;
    this.problem = null;
    this.#say("answered", words);
  }

  #failed(problem) {
    if (problem.kind === "missing") return void this.#versionGone();
    this.state = states.withoutProblems(this.state);
    if (problem.pictureId) this.state = states.withProblem(this.state, problem.pictureId, problem.message);
    this.problem = problem;
    this.#say("problem", problem.message);
  }

  async #versionGone() {
    if (this.fixed !== null) this.notice = `Version ${this.fixed} is gone: the newest one answers now.`;
    this.fixed = null;
    await this.look();
    if (this.model) this.#want({});
  }

  /** Looks what the server has; takes up a newer version of the model. */
  async look() {
    let models;
    try {
      models = (await got("/v1/models")).models.filter((one) => versionsOf(one).length);
      if (!models.length) throw new Problem("down", "The server has no model that answers.");
      const mine = models.find((one) => one.name === this.model?.name) ?? models[0];
      const wanted = this.fixed ?? versionsOf(mine)[0];
      this.models = models;
      if (this.model?.name !== mine.name || this.model.version !== wanted) await this.#take(mine.name, this.fixed);
      else if (this.status.lost) this.#want({ wait: 0 });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const words = `${error.message} Nothing is lost; it is asked again.`;
      this.status = { kind: "problem", words, lost: true };
    }
    this.#render(this);
  }

  /** Chooses a model, and a version unless the newest is to answer whichever that is. */
  async choose(name, version = null) {
    try {
      await this.#take(name, version);
    } catch (error) {
      this.notice = error.message;
    }
    this.#render(this);
  }

  async #take(name, version) {
    const before = this.model;
    const model = modelOf(await got(modelPath(name, version, "/metadata")));
    if (before?.name === name && version === null && this.fixed === null) {
      this.notice = `Version ${model.version} has taken the place of version ${before.version}, and answers from now on.`;
    } else this.notice = "";
    this.fixed = version;
    this.model = model;
    this.pen = penFor(model.card);
    if (!model.adapts) {
      this.status = { kind: "problem", words: "This model was not exported by ml_lstm: it cannot adapt to pictures." };
      return;
    }
    if (before && this.#looksDifferent(before)) await this.#prepareAnew();
    if (!before && !this.state.classes.length) this.state = [1, 2].reduce((state) => states.addClass(state), this.state);
    this.#want({ wait: 0 });
  }

  #looksDifferent(before) {
    return before.side !== this.model.side || penFor(before.card) !== this.pen;
  }

  async #prepareAnew() {
    const anew = async (picture) => ({ ...picture, ...(await this.prepared(picture.source)) });
    for (const one of this.state.classes) {
      for (const picture of one.pictures) {
        const ready = await anew(picture);
        this.state = states.putPicture(this.state, one.id, ready);
      }
    }
    const { selected } = this.state;
    for (const { picture } of this.state.queries) this.state = states.putQuery(this.state, await anew(picture));
    this.state = states.select(this.state, selected);
  }

  prepared(source) {
    return prepared(source, this.model, this.pen);
  }

  /** Prepares pictures and puts each by `put(state, picture)`; tells which could not be read. */
  async add(sources, put) {
    const problems = [];
    for (const source of sources) {
      try {
        const picture = await this.prepared(source);
        this.state = put(this.state, picture);
      } catch (error) {
        problems.push(error.message);
      }
    }
    this.notice = problems.length > 3 ? `${problems[0]} (And ${problems.length - 1} more.)` : problems.join(" ");
    this.change((state) => state);
  }

  /** Takes folders of pictures as classes; those in no folder become a class too. */
  async addFolders(found) {
    const groups = grouped(found);
    if (!groups.length) this.tell("There are no pictures in it.");
    for (const { name, files } of groups) {
      const same = this.state.classes.find((one) => one.name === name) ?? this.#unused();
      if (!same) this.state = states.addClass(this.state, name || undefined);
      const { id } = same ?? this.state.classes.at(-1);
      if (name) this.state = states.renameClass(this.state, id, name);
      await this.add(files.map(fromFile), (state, picture) => states.putPicture(state, id, picture));
    }
  }

  #unused() {
    return this.state.classes.find((one) => !one.pictures.length && /^Class \d+$/.test(one.name));
  }

  /** Fills everything in. */
  async example() {
    const { classes, queries } = this.drawsFirst ? characters() : things();
    const source = (drawing) => (this.drawsFirst ? { strokes: drawing } : { shapes: drawing });
    const ready = (drawings) => Promise.all(drawings.map((drawing) => this.prepared(source(drawing))));
    const [asked, ...taught] = await Promise.all([queries, ...classes.map((one) => one.drawings)].map(ready));
    let state = states.cleared(this.state);
    classes.forEach(({ name }, at) => {
      state = states.addClass(state, name);
      const { id } = state.classes.at(-1);
      for (const picture of taught[at]) state = states.putPicture(state, id, { ...picture, live: this.drawsFirst });
    });
    for (const picture of asked) {
      const live = this.drawsFirst && picture === asked.at(-1);
      state = states.putQuery(state, { ...picture, live });
    }
    this.notice = "";
    this.change(() => state, { wait: 0 });
  }
}

export const fromFile = (file) => ({ blob: file, name: file.name });

async function got(path) {
  let response;
  try {
    response = await fetch(path);
  } catch {
    throw new Problem("down", "The server does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem("down", answer.error ?? "The server does not answer as it should.");
  return answer;
}
