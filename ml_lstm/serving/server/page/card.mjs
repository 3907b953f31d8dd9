/** The model card, from the server's metadata; every field of a card may be missing. */

/** A model as the page needs it, from `/v1/models/NAME/metadata`. */
export function modelOf(metadata) {
  const card = metadata.metadata?.model_card ?? {};
  const signatures = metadata.metadata?.signature_def?.signature_def ?? {};
  const [height, width, channels] = card.image_shape ?? [64, 64, 3];
  return {
    name: metadata.model_spec.name,
    version: String(metadata.model_spec.version),
    card,
    height,
    width,
    channels,
    side: Math.max(height, width),
    mostClasses: card.most_classes ?? null,
    knowsStrangers: "familiarity" in (signatures.adapt_and_predict_encoded?.outputs ?? {}),
    adapts: "adapt_and_predict_encoded" in signatures,
    explains: "explain_encoded" in signatures,
  };
}

/** The data it learned on, its accuracy, and the kinds of pictures for which it only guesses. */
export function sentence(card) {
  const guesses = card.bad_at?.[0] ? `Not reliable for: ${card.bad_at[0]}` : null;
  const parts = [learnedOn(card), accuracy(card), guesses];
  return parts.filter(Boolean).join(" ");
}

function learnedOn(card) {
  if (card.trained_on) return `Learned on: ${stopped(card.trained_on)}`;
  return card.flags?.dataset ? `Learned on ${card.flags.dataset}.` : null;
}

function accuracy(card) {
  const measured = card.figures?.length ? card.figures : (card.evaluations ?? []);
  const own = measured.filter((one) => one.dataset === card.flags?.dataset);
  const [first] = [...(own.length ? own : measured)].sort((a, b) => a.k_shot - b.k_shot || a.n_way - b.n_way);
  if (!first) return null;
  const pictures = first.k_shot === 1 ? "one image" : `${first.k_shot} images`;
  return `With ${first.n_way} new classes and ${pictures} of each, ${percent(first.accuracy, 1)} of its answers are right.`;
}

function stopped(words) {
  return /[.!?]$/.test(words) ? words : `${words}.`;
}

/** The caveats that are not in the sentence. */
export function caveats(card) {
  return [...new Set([...(card.bad_at ?? []).slice(1), ...(card.limits ?? [])])].filter(
    (words) => words !== card.bad_at?.[0],
  );
}

export function percent(share, digits = 0) {
  const shown = (100 * share).toFixed(digits);
  return `${digits ? shown.replace(/\.0$/, "") : shown} %`;
}

/** The available versions, newest first, of one of the models of `/v1/models`. */
export function versionsOf(model) {
  return (model.model_version_status ?? [])
    .filter((one) => one.state === "AVAILABLE")
    .map((one) => String(one.version))
    .sort((a, b) => Number(b) - Number(a));
}
