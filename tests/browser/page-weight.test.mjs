// No page and not the files of all pages together may be heavier by more than 5 % than the numbers of page-weight.json.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { browser, open, sluice } from './support.mjs';
import { compare, weigh } from './page-weight.mjs';

test('no page is heavier by more than 5 % on the wire', { timeout: 120_000 }, async () => {
  const app = await sluice();
  try {
    const { commit, lines, heavy } = compare(await weigh(app.url));
    console.log(`bytes sent at ${commit} and now, bytes unpacked at ${commit} and now\n${lines.join('\n')}`);
    assert.deepEqual(heavy, []);
  } finally { await app.stop(); }
});

test('what is sent without comments and spaces means what its source means', { timeout: 60_000 }, async () => {
  const app = await sluice();
  const chromium = await browser();
  try {
    const page = await open(chromium, app.url, '/services');
    const source = (name) => readFileSync(new URL(`../../static/${name}`, import.meta.url), 'utf8');
    const fetched = (name) => page.evaluate(async (at) => (await fetch(at)).text(), `/static/${name}`);
    const rules = (css) => page.evaluate((text) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(text);
      // The spaces of a custom property are kept as they are written, and mean nothing.
      return [...sheet.cssRules].map((rule) => rule.cssText.replace(/\s+/g, ' ').replace(/, /g, ','));
    }, css);
    const css = await fetched('app.css');
    assert.ok(css.length < source('app.css').length);
    assert.deepEqual(await rules(css), await rules(source('app.css')));
    for (const name of ['app.js', 'live.js', 'newer.js', 'release.js', 'weights.js']) {
      const text = await fetched(name);
      assert.ok(text.length < source(name).length, name);
      new Script(text, { filename: name });
    }
    await page.context().close();
  } finally {
    await chromium.close();
    await app.stop();
  }
});
