// What the page computes by itself: exact decimals, nanoseconds, the hash. Run by bundle_test.py.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("../../web/", import.meta.url));
const esbuild = createRequire(`${web}package.json`)("esbuild");

async function load(name) {
  const { outputFiles } = await esbuild.build({
    entryPoints: [`${web}src/${name}.ts`], bundle: true, format: "esm", write: false, target: "es2022",
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

const decimal = await load("decimal");
const time = await load("time");
const view = await load("view");
const { parseDecimal: parse, formatDecimal: format } = decimal;

test("decimals come back as they were written", () => {
  for (const text of ["0", "1", "-1", "0.0001", "-0.0001", "123.4500", "9223372036854775807.000000000", "100"]) {
    assert.equal(format(parse(text)), text);
  }
});

test("sums and differences are exact where floats are not", () => {
  assert.equal(format(decimal.add(parse("0.1"), parse("0.20"))), "0.30");
  assert.equal(format(decimal.subtract(parse("118000.01"), parse("118000.02"))), "-0.01");
  assert.equal(format(decimal.add(parse("9007199254740993"), parse("1"))), "9007199254740994");
});

test("quotients round half to even, on both sides of zero", () => {
  const divide = (a, b, digits) => format(decimal.divide(parse(a), parse(b), digits));
  assert.equal(divide("1", "3", 4), "0.3333");
  assert.equal(divide("2", "3", 4), "0.6667");
  assert.equal(divide("1", "8", 2), "0.12");
  assert.equal(divide("3", "8", 2), "0.38");
  assert.equal(divide("-1", "8", 2), "-0.12");
  assert.equal(divide("-3", "8", 2), "-0.38");
  assert.equal(divide("1.5", "0.5", 1), "3.0");
  assert.equal(decimal.divide(parse("1"), parse("0.00"), 2), null);
});

test("order is by value, not by length or text", () => {
  const sorted = ["10", "9.99", "-1", "100.00", "9.990001"].sort((a, b) => decimal.compare(parse(a), parse(b)));
  assert.deepEqual(sorted, ["-1", "9.99", "9.990001", "10", "100.00"]);
  assert.equal(decimal.compare(parse("1.50"), parse("1.5")), 0);
});

test("an instant keeps its nanoseconds, and its zone becomes UTC", () => {
  const at = time.parseInstant("2012-06-21T09:30:00.004241176-04:00");
  assert.equal(at, 1340285400004241176n);
  assert.equal(time.formatInstant(at), "2012-06-21T13:30:00.004241176Z");
  assert.equal(time.formatInstant(time.parseInstant("2026-01-05T14:30:00.5Z")), "2026-01-05T14:30:00.500000000Z");
  assert.equal(time.formatInstant(-1n), "1969-12-31T23:59:59.999999999Z");
});

test("what is no instant is none", () => {
  for (const text of ["", "now", "offset:5", "1:2", "2026-01-05", "2026-01-05T14:30:00", "2026-13-05T14:30:00Z", "2026-01-05T14:30:00.1234567890Z"]) {
    assert.equal(time.parseInstant(text), null, text);
  }
});

test("a link keeps symbol, width and instant", () => {
  for (const at of ["", "2026-01-05T14:30:00.000000001Z", "2026-01-05T09:30:00-05:00", "2026-01-05T09:30:00+02:00", "offset:12", "3:44:1"]) {
    const looked = { symbol: "BRK.B", width: "10s", at };
    assert.deepEqual(view.readHash(view.writeHash(looked)), looked);
  }
  assert.deepEqual(view.readHash(""), { symbol: "", width: "1m", at: "" });
  assert.deepEqual(view.readHash("#symbol=A%2FB&width=7h"), { symbol: "A/B", width: "1m", at: "" });
});
