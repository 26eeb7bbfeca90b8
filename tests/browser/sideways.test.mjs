// Nothing scrolls sideways inside a card: the tables of the history, the wizard and a release at 1280, at 640 (200 % zoom
// of 1280) and on a phone; the words of an entry have the width that its bars do not need.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, picture, sluice, until } from './support.mjs';
import { given, REVIEWS } from './gestures.mjs';

let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
  await given(app.url, REVIEWS, { v1: 30, v2: 70, v3: 0 });
  await until(async () => (await api(app.url, 'GET', '/api/v1/releases')).body.items.length === 2, 'the releases of the demo are there', 60_000);
  await until(async () => (await api(app.url, 'GET', '/api/v1/releases/R-2/judgements')).body.items.length > 0, 'a measurement was taken', 60_000);
}, { timeout: 150_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

/** What is wider than the box that it scrolls in, and what sticks out of the page. */
const tooWide = (page) => page.evaluate(() => {
  const boxes = [...document.querySelectorAll('main .scroll')].filter((at) => at.offsetParent);
  const out = boxes.filter((at) => at.scrollWidth > at.clientWidth).map((at) => `${at.id || at.querySelector('caption')?.textContent}: ${at.scrollWidth} > ${at.clientWidth}`);
  if (document.documentElement.scrollWidth > innerWidth) out.push(`the page: ${document.documentElement.scrollWidth} > ${innerWidth}`);
  return out;
});

for (const lang of ['en', 'zh']) {
  for (const width of [1280, 640, 390]) {
    test(`no table scrolls sideways at ${width} px (${lang})`, { timeout: 90_000 }, async () => {
      const page = await open(chromium, app.url, '/audit?show=all', { lang, width });
      const found = {};
      for (const at of ['/audit?show=all', '/audit', '/releases/new?service=bookinfo/reviews', '/releases/R-2', '/releases', REVIEWS, '/services/shop/catalog', '/services']) {
        await page.goto(app.url + at);
        for (const more of await page.locator('main details:not(.menu) > summary').all()) if (await more.isVisible()) await more.click();
        const wide = await tooWide(page);
        if (wide.length) found[at] = wide;
        await picture(page, `sideways-${at.split('?')[0].replaceAll('/', '_')}-${width}-${lang}`, { fullPage: true });
      }
      assert.deepEqual(found, {});
      assert.deepEqual(page.troubles, []);
      await page.context().close();
    });
  }

  test(`at 1280 px what happened has more room than the bars beside it (${lang})`, { timeout: 30_000 }, async () => {
    const page = await open(chromium, app.url, '/audit', { lang, width: 1280 });
    const [what, change] = await page.evaluate(() => [3, 4].map((n) => document.querySelector(`#entries > tr > td:nth-child(${n})`).getBoundingClientRect().width));
    assert.ok(what >= 200 && what > change, `${what} and ${change}`);
    await page.goto(`${app.url}/services`);
    const broken = await page.locator('#rows td.num').evaluateAll((all) => all.filter((at) => at.offsetHeight && [...at.childNodes].length && (() => { const range = document.createRange(); range.selectNodeContents(at); return new Set([...range.getClientRects()].map((box) => Math.round(box.top / 12))).size > 1; })()).map((at) => at.innerText));
    assert.deepEqual(broken, [], 'a number and its unit stay on one line');
    await page.context().close();
  });
}
