// Each token's loss, z_loss and log_z with their derivatives by the logits, as a program for lossproof check --exec:
// node cross_entropy.js     (docs/exec-protocol.md describes the lines)
"use strict";
const HELLO = {
  protocol: 1,
  name: "cross_entropy.js",
  functions: { token_cross_entropy: { outputs: ["loss", "z_loss", "log_z"], arguments: ["logits", "targets", "z_loss"] } },
  dtypes: ["float32", "float64"],
  derivatives: ["logits"],
  packages: { node: process.version.slice(1) },
};

function token(x, t, k, cotangent) { // the outputs of a token, and its row of the gradient
  if (!(t >= 0 && t < x.length)) return { loss: 0, z_loss: 0, log_z: 0, row: x.map(() => 0) }; // EXCL-2
  const m = x.reduce((a, b) => Math.max(a, b), -Infinity); // a NaN stays
  if (!Number.isFinite(m)) return { loss: NaN, z_loss: NaN, log_z: NaN, row: x.map(() => NaN) }; // STATE-3
  const e = x.map((a) => Math.exp(a - m));
  const others = e.reduce((sum, a, j) => (j === t ? sum : sum + a), 0), sum = others + e[t];
  const log_z = m + Math.log(sum), z_loss = k * log_z * log_z;
  const loss = (x[t] === m ? Math.log1p(others) : m - x[t] + Math.log(sum)) + z_loss; // ACC-1
  const by_log_z = 2 * k * log_z * (cotangent.loss + cotangent.z_loss) + cotangent.log_z;
  const row = e.map((a, j) => (cotangent.loss * (j === t ? -others : a) + by_log_z * a) / sum); // p - 1 at t
  return { loss, z_loss, log_z, row };
}

function answer({ op, id, dtype, shape, inputs, cotangents = {} }) {
  const V = shape.at(-1), logits = inputs.logits.map(Number); // Number reads "NaN" and "Infinity", too
  const coefficient = Number(inputs.z_loss ?? 0), k = Number.isFinite(coefficient) ? coefficient : NaN; // STATE-8
  const tokens = inputs.targets.map((t, i) => {
    const given = ["loss", "z_loss", "log_z"].map((name) => [name, Number(cotangents[name]?.[i] ?? 0)]);
    return token(logits.slice(i * V, (i + 1) * V), t, k, Object.fromEntries(given));
  });
  const rounded = (x) => (dtype === "float32" ? Math.fround(x) : x);
  const written = (numbers) => numbers.map(rounded).map((x) => (Number.isFinite(x) ? x : String(x)));
  const outputs = Object.fromEntries(["loss", "z_loss", "log_z"].map((name) => [name, written(tokens.map((one) => one[name]))]));
  return op === "values" ? { id, outputs } : { id, outputs, gradients: { logits: written(tokens.flatMap((one) => one.row)) } };
}

require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  console.log(JSON.stringify(request.op === "hello" ? HELLO : answer(request)));
});
