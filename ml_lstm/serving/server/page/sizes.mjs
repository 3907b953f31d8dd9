/** The size and format in which pictures are sent, and how a model sees them. */

const AT_LEAST = 2; // minimum size, as a multiple of the model's: the model does the rest of the resizing by its own rule
const SMALL = 96; // longer edge in pixels up to which a PNG is small for any contents

/** The `[width, height]` in which a picture is sent: shrunk by an integer, to a shorter edge of at least twice `side`. */
export function sentSize(width, height, side) {
  const times = Math.max(1, Math.floor(Math.min(width, height) / (AT_LEAST * side)));
  return [Math.ceil(width / times), Math.ceil(height / times)];
}

/** The format in which a picture is sent: JPEG for photographs, unless they are small; drawings stay exact. */
export function sentType(type, width, height) {
  const photograph = type === "image/jpeg" || type === "image/webp";
  return photograph && Math.max(width, height) > SMALL ? "image/jpeg" : "image/png";
}

/** The side of a drawing that is sent, in pixels. */
export function drawingSide(side) {
  return Math.min(Math.max(4 * side, 96), 336);
}

/**
 * Averages areas, as the model does with pictures larger than it needs.
 *
 * @param pixels RGBA, `width * height * 4` bytes.
 * @param channels 1 for grey, as for the model.
 * @returns RGBA of `[toWidth, toHeight]`.
 */
export function asSeen({ data, width, height }, toWidth, toHeight, channels) {
  const seen = new Uint8ClampedArray(4 * toWidth * toHeight);
  const columns = shares(width, toWidth);
  const rows = shares(height, toHeight);
  for (let y = 0; y < toHeight; y += 1) {
    for (let x = 0; x < toWidth; x += 1) {
      const sum = [0, 0, 0];
      for (const [row, high] of rows[y]) {
        for (const [column, wide] of columns[x]) {
          for (let c = 0; c < 3; c += 1) sum[c] += high * wide * data[4 * (row * width + column) + c];
        }
      }
      const grey = 0.2989 * sum[0] + 0.587 * sum[1] + 0.114 * sum[2];
      const shown = channels === 1 ? [grey, grey, grey] : sum;
      seen.set([...shown, 255], 4 * (y * toWidth + x));
    }
  }
  return seen;
}

/** For each of `count` equal parts of `length` pixels: `[pixel, share of the part]`. */
function shares(length, count) {
  return Array.from({ length: count }, (_, part) => {
    const [from, to] = [(part * length) / count, ((part + 1) * length) / count];
    const own = [];
    for (let pixel = Math.floor(from); pixel < Math.min(to, length); pixel += 1) {
      const share = (Math.min(to, pixel + 1) - Math.max(from, pixel)) / (to - from);
      if (share > 1e-9) own.push([pixel, share]);
    }
    return own;
  });
}
