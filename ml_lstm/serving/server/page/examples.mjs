/** Built-in examples: invented characters as strokes, and simple coloured objects as shapes. */

const CHARACTERS = {
  Hook: [[[0.36, 0.2], [0.35, 0.45], [0.36, 0.68], [0.45, 0.78], [0.58, 0.77], [0.68, 0.64], [0.69, 0.55]]],
  Arch: [
    [[0.24, 0.78], [0.27, 0.5], [0.36, 0.3], [0.5, 0.23], [0.64, 0.3], [0.73, 0.5], [0.76, 0.78]],
    [[0.4, 0.58], [0.5, 0.57], [0.6, 0.58]],
  ],
  Zigzag: [[[0.26, 0.26], [0.5, 0.27], [0.74, 0.28], [0.52, 0.44], [0.3, 0.58], [0.52, 0.66], [0.76, 0.76]]],
  Loop: [
    [[0.5, 0.55], [0.36, 0.47], [0.35, 0.31], [0.5, 0.22], [0.65, 0.31], [0.64, 0.47], [0.5, 0.55], [0.5, 0.7], [0.5, 0.82]],
    [[0.38, 0.7], [0.5, 0.7], [0.62, 0.7]],
  ],
  Mast: [
    [[0.5, 0.2], [0.5, 0.5], [0.5, 0.8]],
    [[0.5, 0.24], [0.66, 0.38], [0.74, 0.54]],
    [[0.28, 0.62], [0.39, 0.5], [0.5, 0.44]],
  ],
};

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The same strokes with small random changes: rotated, stretched, shifted and bent. */
export function redrawn(strokes, chance) {
  const around = (most) => most * (2 * chance() - 1);
  const turn = around(0.14);
  const [wide, high] = [1 + around(0.12), 1 + around(0.12)];
  const [right, down] = [around(0.04), around(0.04)];
  return strokes.map((stroke) => {
    const [x0, y0, bend, phase] = [around(0.015), around(0.015), around(0.018), around(Math.PI)];
    return stroke.map(([x, y], at) => {
      const [u, v] = [wide * (x - 0.5), high * (y - 0.5)];
      const wave = bend * Math.sin(phase + at);
      return [
        0.5 + u * Math.cos(turn) - v * Math.sin(turn) + x0 + right + wave,
        0.5 + u * Math.sin(turn) + v * Math.cos(turn) + y0 + down + wave,
      ];
    });
  });
}

/**
 * Five characters, each drawn once, and three of them drawn differently as queries.
 *
 * @returns `{classes: [{name, drawings}], queries}`, drawings as strokes.
 */
export function characters(seed = 1) {
  const chance = random(seed);
  const names = Object.keys(CHARACTERS);
  const classes = names.map((name) => ({ name, drawings: [redrawn(CHARACTERS[name], chance)] }));
  const queries = [3, 0, 4].map((at) => redrawn(CHARACTERS[names[at]], chance));
  return { classes, queries };
}

const THINGS = {
  Ball: (x, y, size, tone) => [
    { circle: [x, y, size], fill: tone(4, 75, 52) },
    { circle: [x - size / 3, y - size / 3, size / 4], fill: tone(10, 85, 78) },
  ],
  Tree: (x, y, size, tone) => [
    { polygon: [[x - size / 6, y], [x + size / 6, y], [x + size / 5, y + size], [x - size / 5, y + size]], fill: tone(28, 45, 30) },
    { circle: [x, y - size / 3, size * 0.8], fill: tone(115, 50, 33) },
    { circle: [x - size / 2, y, size / 2], fill: tone(110, 52, 38) },
    { circle: [x + size / 2, y, size / 2], fill: tone(120, 48, 30) },
  ],
  Boat: (x, y, size, tone) => [
    { polygon: [[0, y + size / 2], [1, y + size / 2], [1, 1], [0, 1]], fill: tone(212, 60, 42) },
    { polygon: [[x - size, y + size / 4], [x + size, y + size / 4], [x + size * 0.6, y + size * 0.7], [x - size * 0.6, y + size * 0.7]], fill: tone(24, 55, 35) },
    { polygon: [[x, y - size], [x, y + size / 6], [x + size * 0.8, y + size / 6]], fill: tone(50, 20, 95) },
  ],
  House: (x, y, size, tone) => [
    { polygon: [[x - size, y - size / 4], [x + size, y - size / 4], [x + size, y + size], [x - size, y + size]], fill: tone(45, 70, 70) },
    { polygon: [[x - size * 1.2, y - size / 4], [x, y - size * 1.1], [x + size * 1.2, y - size / 4]], fill: tone(355, 50, 38) },
    { polygon: [[x - size / 4, y + size / 3], [x + size / 4, y + size / 3], [x + size / 4, y + size], [x - size / 4, y + size]], fill: tone(25, 40, 25) },
  ],
};
const GROUNDS = [[205, 60, 82], [95, 35, 72], [40, 30, 85], [220, 15, 78]];

function scene(name, chance) {
  const around = (most) => most * (2 * chance() - 1);
  const tone = (hue, strong, light) => `hsl(${hue + around(7)} ${strong + around(6)}% ${light + around(5)}%)`;
  const ground = tone(...GROUNDS[Math.floor(chance() * GROUNDS.length)]);
  const whole = { polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], fill: ground };
  return [whole, ...THINGS[name](0.5 + around(0.1), 0.5 + around(0.08), 0.3 + around(0.05), tone)];
}

/**
 * Four coloured objects, three pictures of each, and one more picture of three of them as queries.
 *
 * @returns like `characters`, but pictures are lists of shapes: `{circle: [x, y, radius]}` or `{polygon: points}`, `fill`.
 */
export function things(seed = 1) {
  const chance = random(seed);
  const names = Object.keys(THINGS);
  const classes = names.map((name) => ({ name, drawings: [1, 2, 3].map(() => scene(name, chance)) }));
  return { classes, queries: [2, 0, 3].map((at) => scene(names[at], chance)) };
}
