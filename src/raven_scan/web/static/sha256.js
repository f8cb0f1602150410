// A worker that takes the SHA-256 of a file, piece by piece: browsers' own takes a whole file in memory, and none at all
// over plain HTTP. Source: FIPS 180-4.
const K = new Int32Array(64);
const START = new Int32Array(8);
{
  const fraction = (value) => ((value - Math.floor(value)) * 4294967296) | 0;
  let found = 0;
  for (let number = 2; found < 64; number++) {
    let prime = true;
    for (let by = 2; by * by <= number; by++) if (number % by === 0) prime = false;
    if (!prime) continue;
    if (found < 8) START[found] = fraction(Math.sqrt(number));
    K[found++] = fraction(Math.cbrt(number));
  }
}

const state = START.slice();
const words = new Int32Array(64);
const rest = new Uint8Array(64);
let restLength = 0;
let total = 0;

function mix(bytes, at) {
  for (let i = 0; i < 16; i++, at += 4) {
    words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15];
    const y = words[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

function take(bytes) {
  total += bytes.length;
  let at = 0;
  if (restLength) {
    at = Math.min(64 - restLength, bytes.length);
    rest.set(bytes.subarray(0, at), restLength);
    restLength += at;
    if (restLength < 64) return;
    mix(rest, 0);
    restLength = 0;
  }
  for (; at + 64 <= bytes.length; at += 64) mix(bytes, at);
  rest.set(bytes.subarray(at), 0);
  restLength = bytes.length - at;
}

function finish() {
  const end = new Uint8Array(restLength < 56 ? 64 : 128);
  end.set(rest.subarray(0, restLength));
  end[restLength] = 0x80;
  const view = new DataView(end.buffer);
  view.setUint32(end.length - 8, Math.floor(total / 536870912));
  view.setUint32(end.length - 4, (total << 3) >>> 0);
  for (let at = 0; at < end.length; at += 64) mix(end, at);
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

onmessage = async ({ data: file }) => {
  try {
    const piece = 4 << 20;
    for (let at = 0; at < file.size; at += piece) take(new Uint8Array(await file.slice(at, at + piece).arrayBuffer()));
    postMessage({ sha256: finish() });
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
