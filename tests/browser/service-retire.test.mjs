// Retiring a version from the service page: offered, with what it deletes, once nothing reaches it; else the reason.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, until, visit, wide } from './support.mjs';
import { given, REVIEWS, row } from './gestures.mjs';

let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
  await given(app.url, REVIEWS, { v1: 80, v2: 20, v3: 0 });
}, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

for (const lang of ['en', 'zh']) {
  for (const width of [1280, 390]) {
    test(`a version without requests offers Retire with how long; one with traffic says why not (${lang}, ${width} px)`, { timeout: 60_000 }, () => on(REVIEWS, async (page) => {
      await until(async () => { await page.reload(); return await row(page, 'v3').locator('a#retire-v3').count() === 1 && / min| 分钟/.test(await row(page, 'v3').locator('.vret').innerText()); }, 'the metrics know of a minute without requests', 30_000);
      assert.match(await row(page, 'v3').locator('.vret').innerText(), lang === 'en' ? /^v3 has had no requests for \d+ min\.\s*Retire v3…$/ : /^v3 已有 \d+ 分钟没有请求。\s*下线 v3…$/);
      const off = row(page, 'v1').locator('button#retire-v1');
      assert.equal(await off.getAttribute('aria-disabled'), 'true');
      assert.match(await off.getAttribute('title'), lang === 'en' ? /v1 still has 80% of the traffic\. Move the traffic away first\./ : /v1 仍有 80% 的流量。 请先移走流量。/);
      assert.equal(await wide(page), false);
      await picture(page, `retire-page-${lang}-${width}`, { fullPage: true });
      await row(page, 'v3').locator('a#retire-v3').click();
      const dialog = page.locator('#dialog[open]');
      await dialog.locator('#act-name').waitFor();
      assert.match(await dialog.locator('#act-deletes').innerText(), /Deployment reviews-v3/);
      assert.equal(await dialog.locator(':focus').innerText(), lang === 'en' ? 'Keep v3' : '保留 v3');
      await dialog.locator('#act-name').fill('reviews v1');
      await dialog.locator('#act-why').fill('never used');
      await dialog.locator('footer button').click();
      await dialog.locator('#act-name-error').waitFor();
      assert.equal(await dialog.locator('#act-why').inputValue(), 'never used');
      assert.deepEqual(await axe(page), []);
      assert.equal(await wide(page), false);
      await picture(page, `retire-dialog-${lang}-${width}`);
    }, { lang, width }));
  }
}

test('a version is retired: typed, deleted, said, and kept in the history', { timeout: 60_000 }, () => on(REVIEWS, async (page) => {
  await row(page, 'v3').locator('a#retire-v3').click();
  const dialog = page.locator('#dialog[open]');
  await dialog.locator('#act-name').fill('reviews v3');
  await dialog.locator('#act-why').fill('REV-9 never used');
  await dialog.locator('footer button').click();
  await page.locator('.toast', { hasText: 'v3 has been retired.' }).waitFor();
  await until(async () => await row(page, 'v3').count() === 0, 'its row goes without a reload', 15_000);
  assert.equal(new URL(page.url()).searchParams.has('retired'), false, 'the address does not say it again');
  await page.reload();
  assert.equal(await page.locator('.toast', { hasText: 'v3 has been retired.' }).count(), 0, 'said once');
  const history = await api(app.url, 'GET', '/api/v1/audit?service=bookinfo/reviews&limit=5');
  assert.deepEqual(history.body.items.slice(0, 2).map((one) => [one.action, one.reason]), [['workload', 'REV-9 never used'], ['set_traffic', 'REV-9 never used']]);
}));
