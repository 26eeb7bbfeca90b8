// The linked weights as a pure function: whatever is moved, typed or locked, the sum stays 100.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { rebalance } = createRequire(import.meta.url)('../../static/weights.js');
const sum = (list) => list.reduce((a, b) => a + b, 0);
const free = (n) => Array(n).fill(false);
const all = (n) => Array(n).fill(100);

// A small generator of our own, so that a failure can be repeated.
let state = 20261120;
const random = (below) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor(state / 2147483648 * below); };

function split(n) {
  const cuts = Array.from({ length: n - 1 }, () => random(101)).sort((a, b) => a - b);
  return [...cuts, 100].map((cut, at) => cut - (at ? cuts[at - 1] : 0));
}

test('whatever happens, weights are whole, within their caps, and sum to 100', () => {
  for (let turn = 0; turn < 200_000; turn++) {
    const n = 1 + random(5), base = split(n), i = random(n), x = random(141) - 20;
    const locked = base.map((_, j) => j !== i && random(4) === 0);
    const cap = base.map((weight) => random(4) === 0 ? weight : 100);
    const out = rebalance(base, i, x, locked, cap);
    const said = JSON.stringify({ base, i, x, locked, cap, out });
    assert.equal(sum(out), 100, said);
    out.forEach((weight, j) => {
      assert.ok(Number.isInteger(weight) && weight >= 0 && weight <= cap[j], said);
      if (locked[j]) assert.equal(weight, base[j], said);
    });
  }
});

test('dragging out and back restores every other version', () => {
  for (let turn = 0; turn < 2_000; turn++) {
    const n = 2 + random(4), base = split(n), i = random(n);
    for (let x = base[i]; x >= 0; x -= 7) rebalance(base, i, x, free(n), all(n));
    assert.deepEqual(rebalance(base, i, base[i], free(n), all(n)), base);
  }
});

test('what is not whole is rounded, what is out of range is held at the edge', () => {
  assert.deepEqual(rebalance([50, 50], 0, 250, free(2), all(2)), [100, 0]);
  assert.deepEqual(rebalance([50, 50], 0, -5, free(2), all(2)), [0, 100]);
  assert.deepEqual(rebalance([50, 50], 0, 12.7, free(2), all(2)), [13, 87]);
  assert.deepEqual(rebalance([100], 0, 30, free(1), all(1)), [100]);
});

test('others give and take in proportion; all at zero, the first that may receive takes it', () => {
  assert.deepEqual(rebalance([40, 40, 20], 0, 70, free(3), all(3)), [70, 20, 10]);
  assert.deepEqual(rebalance([100, 0, 0], 0, 30, free(3), all(3)), [30, 70, 0]);
  assert.deepEqual(rebalance([100, 0, 0], 0, 30, free(3), [100, 0, 100]), [30, 0, 70]);
});

test('a version without ready pods can only go down, and nothing is given to it', () => {
  assert.deepEqual(rebalance([80, 20], 1, 60, free(2), [100, 20]), [80, 20]);
  assert.deepEqual(rebalance([80, 20], 1, 5, free(2), [100, 20]), [95, 5]);
  assert.deepEqual(rebalance([50, 20, 30], 0, 0, free(3), [100, 20, 100]), [0, 20, 80]);
});

test('with all others locked nothing moves', () => {
  assert.deepEqual(rebalance([50, 30, 20], 0, 90, [false, true, true], all(3)), [50, 30, 20]);
});
