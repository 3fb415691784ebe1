// The golden vectors (format: golden/README.md) against a textbook loss in doubles: node check_vectors.mjs [DIRECTORY]
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
const directory = process.argv[2] ?? new URL("../golden/vectors", import.meta.url).pathname;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0), size = (a) => (Number.isFinite(a) ? Math.abs(a) : 0);
const expect = (holds, problem) => { if (!holds) { console.error(`expected ${problem}`); process.exit(3); } };
function number(text) { // hexadecimal or decimal; the significand first, so that nothing underflows on the way
  const [, sign, one, digits, exponent] = /^(-?)0x([01])\.?([0-9a-f]*)p(.*)$/.exec(text) ?? [];
  if (!one) return Number(text.replace("inf", "Infinity"));
  return (sign ? -1 : 1) * (parseInt(one + digits, 16) / 16 ** digits.length) * 2 ** exponent;
}
function draw({ seed, drop, offset, exponent }, i) { // SplitMix64 of a counter, the sum of its quarters
  let h = BigInt.asUintN(64, BigInt(seed) + BigInt(i + 1) * 0x9e3779b97f4a7c15n);
  h = BigInt.asUintN(64, (h ^ (h >> 30n)) * 0xbf58476d1ce4e5b9n);
  h = BigInt.asUintN(64, (h ^ (h >> 27n)) * 0x94d049bb133111ebn);
  const s = sum(new Uint16Array(BigUint64Array.of(h ^ (h >> 31n)).buffer));
  return (((s - 131070) >> drop) + offset) * 2 ** exponent;
}
function elements({ dtype, shape, data, recipe, sha256: hash }) { // of an array, row-major
  if (data) return data.map((x) => (typeof x === "string" ? number(x) : Number(x)));
  const type = dtype === "float64" ? Float64Array : Float32Array;
  const values = new type(shape.reduce((a, b) => a * b, 1)).map((_, i) => draw(recipe, i));
  recipe.patches.at.forEach((i, n) => { values[i] = number(recipe.patches.data[n]); });
  const bits = dtype === "bfloat16" ? new Uint16Array(values.buffer).filter((_, i) => i % 2) : values;
  expect(dtype === "float16" || sha256(bits) === hash, `elements of a recipe with the SHA-256 ${hash}`);
  return [...values];
}
function token(x, q, entropy, k) { // one row of logits, its targets as weights of the classes
  const m = x.reduce((a, b) => Math.max(a, b), -Infinity);
  const log_z = q.every(Number.isFinite) ? m + Math.log(sum(x.map((a) => Math.exp(a - m)))) : NaN;
  const z_loss = Number.isFinite(k) ? k * log_z * log_z : NaN;
  const loss = sum(q.map((a, j) => a && a * (log_z - x[j]))) - entropy + z_loss, large = 1 + size(log_z);
  // Each sum rounds V times, the rest fewer than 16 times, by 2^-53 of what is added; z has the error of log_z twice.
  const added = large + sum(q.map((a, j) => size(a) * (large + size(x[j])))) + entropy + (k ? size(k) * large ** 2 : 0);
  return { loss, z_loss, log_z, error: 2 ** -52 * (x.length + 16) * added };
}
function rows({ function: name, inputs }) { // each token's outputs
  const [e, k] = ["label_smoothing", "z_loss"].map((key) => number(inputs[key]?.hex ?? "0"));
  const V = inputs.logits.shape.at(-1), [on, off] = V === 1 ? [1, 0] : [1 - e, e / (V - 1)];
  const entropy = -sum([[1, on], [V - 1, off]].map(([count, a]) => a && count * a * Math.log(a)));
  const x = elements(inputs.logits), t = elements(inputs.targets), row = (a, i) => a.slice(i * V, (i + 1) * V);
  return Array.from({ length: x.length / V }, (_, i) => {
    if (name === "cross_entropy_with_logits") return token(row(x, i), row(t, i), 0, k);
    if (!(t[i] >= 0 && t[i] < V)) return { loss: 0, z_loss: 0, log_z: 0, error: 0 };
    return token(row(x, i), row(x, i).map((_, j) => (j === t[i] ? on : off)), entropy, k);
  });
}
const agrees = (one) => rows(one).every((row, i) => Object.entries(one.answers).every(([output, { decimal }]) =>
  Object.is(row[output], number(decimal[i])) || Math.abs(row[output] - number(decimal[i])) <= row.error));
const { format_version, files } = JSON.parse(readFileSync(`${directory}/manifest.json`));
expect(format_version === 2, `format version 2, got ${format_version}`);
for (const [file, { cases: count, sha256: hash }] of Object.entries(files)) {
  const content = readFileSync(`${directory}/${file}`), { cases } = JSON.parse(content);
  expect(sha256(content) === hash && cases.length === count, `the ${file} that the manifest lists`);
  const able = cases.filter((one) => /^(token_cross_entropy|cross_entropy_with_logits)$/.test(one.function));
  const missed = able.filter((one) => !agrees(one));
  missed.forEach(({ id, note }) => { process.exitCode = 1; console.log(`${file}: case ${id} (${note}) is wrong`); });
  console.log(`${file}: ${able.length - missed.length} of ${able.length} agree, ${count - able.length} totals skipped`);
}
