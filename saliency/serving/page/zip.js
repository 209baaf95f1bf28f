// Zip archives of files that are compressed already: stored as they are (APPNOTE 6.3, method 0).

const CRC = new Uint32Array(256).map((_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});
const UTF8 = 0x0800; // flag: names are UTF-8
const LIMIT = 0xffffffff; // of bytes, without Zip64

// Makes one Blob of [{name, blob}, ...]; names must differ.
export async function zip(files, now = new Date()) {
  const parts = [], directory = [];
  let offset = 0;
  for (const {name, blob} of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const encoded = new TextEncoder().encode(name);
    const common = [
      [20, 2], [UTF8, 2], [0, 2], [time(now), 2], [date(now), 2], [crc32(bytes), 4],
      [bytes.length, 4], [bytes.length, 4], [encoded.length, 2], [0, 2]];
    const head = numbers([[0x04034b50, 4], ...common]);
    directory.push(
      numbers([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]),
      encoded);
    parts.push(head, encoded, blob);
    offset += head.length + encoded.length + bytes.length;
    if (offset > LIMIT) throw new Error("More than 4 GB; download them one by one.");
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = files.length;
  const end = numbers([
    [0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], {type: "application/zip"});
}

// Names of which no two are alike: "a.png", "a-2.png", ...
export function unlike(names) {
  const taken = new Set();
  return names.map((name) => {
    const dot = name.lastIndexOf(".");
    let other = name;
    for (let number = 2; taken.has(other.toLowerCase()); number++) {
      other = `${name.slice(0, dot)}-${number}${name.slice(dot)}`;
    }
    taken.add(other.toLowerCase());
    return other;
  });
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// Little-endian numbers: [[value, bytes], ...].
function numbers(pairs) {
  const bytes = [];
  for (const [value, length] of pairs) {
    for (let place = 0; place < length; place++) bytes.push((value >>> (8 * place)) & 0xff);
  }
  return Uint8Array.from(bytes);
}

function time(now) {
  return (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
}

function date(now) {
  return ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
}
