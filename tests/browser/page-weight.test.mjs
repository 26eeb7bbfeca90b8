// No page and not the files of all pages together may be heavier by more than 5 % than the numbers of page-weight.json.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { sluice } from './support.mjs';
import { compare, weigh } from './page-weight.mjs';

test('no page is heavier by more than 5 % on the wire', { timeout: 120_000 }, async () => {
  const app = await sluice();
  try {
    const { commit, lines, heavy } = compare(await weigh(app.url));
    console.log(`bytes at ${commit}, bytes now\n${lines.join('\n')}`);
    assert.deepEqual(heavy, []);
  } finally { await app.stop(); }
});
