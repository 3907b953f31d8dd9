/** Zip archives with uncompressed files (APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16). */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

const STORED_FROM = 20; // version 2.0: folders
const UTF8_NAMES = 0x0800;
const JANUARY_1980 = 0x0021;

/**
 * Creates an archive.
 *
 * @param files `{name, bytes}`; a name with slashes is in folders.
 * @returns its bytes.
 */
export function zipped(files) {
  const parts = [];
  const entries = [];
  let at = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(name);
    const facts = [
      [2, STORED_FROM],
      [2, UTF8_NAMES],
      [2, 0], // stored
      [2, 0], // time
      [2, JANUARY_1980],
      [4, crc32(bytes)],
      [4, bytes.length],
      [4, bytes.length],
      [2, path.length],
      [2, 0], // extra
    ];
    const local = packed([[4, 0x04034b50], ...facts]);
    entries.push(packed([[4, 0x02014b50], [2, STORED_FROM], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]), path);
    parts.push(local, path, bytes);
    at += local.length + path.length + bytes.length;
  }
  const size = entries.reduce((sum, part) => sum + part.length, 0);
  const end = [[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, at], [2, 0]];
  return joined([...parts, ...entries, packed(end)]);
}

/** Numbers of 2 or 4 bytes, the lowest byte first. */
function packed(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
