// Numbers, units and times as people read them: each branch once, by plain examples.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ago,
  axis_text,
  count,
  duration_s,
  duration_us,
  percent,
  score_text,
  split_value,
  value_text,
  words,
} from "../../src/model/format.ts";

const thin = "\u202f";

test("a value that is not known is a dash, never 0 or NaN", () => {
  for (const none of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.equal(value_text(none, "%"), "–");
    assert.equal(score_text(none), "–");
  }
  assert.equal(duration_us(null), "–");
  assert.equal(duration_s(undefined), "–");
  assert.equal(count(null), "–");
});

test("values carry the unit a person expects", () => {
  assert.deepEqual(split_value(97.08, "%"), ["97.1", "%"]);
  assert.deepEqual(split_value(0, "%"), ["0.0", "%"]);
  assert.deepEqual(split_value(4_912_345_678, "bytes"), ["4.9", "GB"]);
  assert.deepEqual(split_value(999, "bytes"), ["999", "B"]);
  assert.deepEqual(split_value(1_000, "bytes/s"), ["1.0", "kB/s"]);
  assert.deepEqual(split_value(0.42, "ms"), ["420", "µs"]);
  assert.deepEqual(split_value(3_600, "s"), [`1${thin}h`, ""]);
  assert.deepEqual(split_value(2_400, "1/s"), [`2${thin}400`, "/s"]);
  assert.deepEqual(split_value(3, "count"), ["3", ""]);
  assert.deepEqual(split_value(0.004, ""), ["4.0e-3", ""]);
  assert.deepEqual(split_value(1_234_567, "rows"), ["1.2", "Mrows"]);
  assert.deepEqual(split_value(-0.001, "%"), ["0.0", "%"]);
});

test("axis marks drop zeros that say nothing", () => {
  assert.equal(axis_text(80, "%"), `80${thin}%`);
  assert.equal(axis_text(0, "%"), `0${thin}%`);
  assert.equal(axis_text(15.5, "%"), `15.5${thin}%`);
  assert.equal(axis_text(2e9, "bytes"), `2${thin}GB`);
});

test("durations", () => {
  assert.equal(duration_us(38), `38${thin}µs`);
  assert.equal(duration_us(2_400), `2.4${thin}ms`);
  assert.equal(duration_us(1_500_000), `1.5${thin}s`);
  assert.equal(duration_s(0.4), `0.4${thin}s`);
  assert.equal(duration_s(3), `3${thin}s`);
  assert.equal(duration_s(25.2), `25${thin}s`);
  assert.equal(duration_s(185), `3${thin}min 5${thin}s`);
  assert.equal(duration_s(3600), `1${thin}h`);
  assert.equal(duration_s(90_000), `1${thin}d 1${thin}h`);
  assert.equal(duration_s(-5), `0${thin}s`);
});

test("ago moves in whole steps", () => {
  assert.equal(ago(0, 500_000), "just now");
  assert.equal(ago(0, 25_900_000), `25${thin}s ago`);
  assert.equal(ago(0, 125e6), `2${thin}min ago`);
});

test("percent is 100 only when it is complete", () => {
  assert.equal(percent(0.9999), `99${thin}%`);
  assert.equal(percent(1), `100${thin}%`);
  assert.equal(percent(0), `0${thin}%`);
});

test("codes in words", () => assert.equal(words("false_alarm"), "false alarm"));
