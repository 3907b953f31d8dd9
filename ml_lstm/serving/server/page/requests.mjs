/** Requests to the server, and what its refusals mean: bodies, paths and words, without a network. */

/** Paths of a model; without a version its newest. */
export function modelPath(name, version = null, tail = "") {
  const of = version === null ? "" : `/versions/${version}`;
  return `/v1/models/${encodeURIComponent(name)}${of}${tail}`;
}

export function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

const encoded = new WeakMap();

function file(picture) {
  if (!encoded.has(picture.bytes)) encoded.set(picture.bytes, base64(picture.bytes));
  return { b64: encoded.get(picture.bytes) };
}

/** The body that asks `question(state)`: adapt to the support set and classify the queries. */
export function askBody(asked) {
  const inputs = { ...support(asked), query_images: asked.queries.map(({ picture }) => file(picture)) };
  return JSON.stringify({ signature_name: "adapt_and_predict_encoded", inputs });
}

/** The body that asks how the model learned the support set. */
export function explainBody(asked) {
  return JSON.stringify({ signature_name: "explain_encoded", inputs: support(asked) });
}

function support(asked) {
  return {
    support_images: asked.support.map(({ picture }) => file(picture)),
    support_labels: asked.support.map(({ label }) => label),
  };
}

/** A refusal of the server, or none at all. `kind` is one of those of `refusal`. */
export class Problem extends Error {
  constructor(kind, words, { retry = null, pictureId = null } = {}) {
    super(words);
    Object.assign(this, { kind, retry, pictureId });
  }
}

/**
 * What a refusal means for who asked.
 *
 * @param status of HTTP.
 * @param error the server's sentence.
 * @param retryAfter the header, or null.
 * @param asked what was sent.
 * @param selected the id of the query that is looked at.
 * @returns a `Problem`: "busy" and "down" pass by themselves, "large" and "picture" concern a picture, "missing" is the
 *   model or its version, "refused" anything else.
 */
export function refusal(status, error, retryAfter, asked, selected) {
  if (status === 429) {
    const retry = Math.max(Number(retryAfter) || 1, 0.2);
    const words = `The server is busy. This picture is asked about again in ${retry} s.`;
    return new Problem("busy", words, { retry, pictureId: selected });
  }
  if (status === 413) {
    const most = /takes at most (\d+)/.exec(error)?.[1];
    const limit = most ? ` (${inBytes(Number(most))})` : "";
    const words = `All pictures together are too large for the server${limit}. This one is the largest: remove it, or others.`;
    return new Problem("large", words, { pictureId: largest(asked) });
  }
  if (status === 404) return new Problem("missing", error);
  if (status === 503) return new Problem("down", "The server is not ready.", { retry: 2 });
  if (status === 504) return new Problem("refused", "The server took too long: ask about fewer pictures at once.");
  const where = /(support|query)_images: the image at index (\d+) (.*)/s.exec(error);
  if (where) {
    const list = where[1] === "support" ? asked.support : asked.queries;
    return new Problem("picture", `The model cannot read this picture: it ${where[3]}`, {
      pictureId: list[Number(where[2])]?.id ?? null,
    });
  }
  return new Problem("refused", error || `The server refused with ${status}.`);
}

function largest(asked) {
  const all = [...asked.support, ...asked.queries];
  return all.reduce((most, one) => (one.picture.bytes.length > most.picture.bytes.length ? one : most)).id;
}

export function inBytes(number) {
  if (number >= 1024 ** 2) return `${Math.round(number / 1024 ** 2)} MB`;
  return number >= 1024 ? `${Math.round(number / 1024)} KB` : `${number} bytes`;
}

/**
 * Sends one request.
 *
 * @param fetcher `fetch`, or what stands for it.
 * @returns `outputs` of the answer.
 * @throws {Problem} for refusals and where there is no server; what `fetcher` throws where it is aborted.
 */
export async function post(fetcher, path, body, signal, asked, selected) {
  let response, answer;
  try {
    response = await fetcher(path, { method: "POST", body, signal, headers: { "Content-Type": "application/json" } });
    answer = await response.json();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem("down", "The server does not answer. Nothing is lost; it is asked again.", { retry: 2 });
  }
  if (response.ok) return answer.outputs;
  throw refusal(response.status, answer.error, response.headers.get("Retry-After"), asked, selected);
}

/**
 * Asks anew after changes, so that there are not more requests than answers: waits a moment for further changes, drops
 * the older request, tries again what passes by itself.
 *
 * @param send `async (signal) => answer`; throws a `Problem`.
 * @param heard `{thinking(), answer(answer, milliseconds), problem(problem)}`.
 */
export class Asker {
  #send;
  #heard;
  #timer = null;
  #running = null;
  #again = false;

  constructor(send, heard) {
    this.#send = send;
    this.#heard = heard;
  }

  /**
   * Something has changed.
   *
   * @param wait milliseconds for further changes.
   * @param live while a pen moves: an answer under way is waited for, as else there would be none until it stops.
   */
  ask({ wait = 120, live = false } = {}) {
    if (live && this.#running) {
      this.#again = true;
    } else if (!live || this.#timer === null) {
      this.stop();
      this.#timer = setTimeout(() => this.#run(), live ? Math.min(wait, 40) : wait);
    }
  }

  /** Whether an answer is under way or due, so that what was heard last is not to what is there now. */
  get busy() {
    return this.#timer !== null || this.#running !== null;
  }

  /** Drops what is under way or due. */
  stop() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#timer = this.#running = null;
    this.#again = false;
  }

  async #run() {
    this.#timer = null;
    const mine = (this.#running = new AbortController());
    this.#heard.thinking();
    const begun = performance.now();
    let told;
    try {
      const answer = await this.#send(mine.signal);
      told = () => this.#heard.answer(answer, performance.now() - begun);
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem("refused", String(error));
      told = () => this.#heard.problem(problem);
      if (problem.retry !== null && !mine.signal.aborted) {
        this.#timer = setTimeout(() => this.#run(), 1000 * problem.retry);
      }
    }
    if (mine.signal.aborted) return;
    this.#running = null;
    // First, so that who hears the answer sees that it is not the last.
    if (this.#again) this.ask({ live: true });
    this.#again = false;
    told();
  }
}
