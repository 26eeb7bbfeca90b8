// The live YAML of a service's routing objects: opened from the page, copied, with what Sluice did to it.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, wide } from './support.mjs';
import { given, REVIEWS } from './gestures.mjs';

let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
  await given(app.url, REVIEWS, { v1: 80, v2: 20, v3: 0 });
}, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

for (const lang of ['en', 'zh']) {
  for (const width of [1280, 390]) {
    test(`a routing object opens its live YAML, which can be copied (${lang}, ${width} px)`, { timeout: 60_000 }, async () => {
      const page = await open(chromium, app.url, REVIEWS, { lang, width });
      try {
        await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
        await page.locator('section[aria-labelledby=h-objects] a', { hasText: 'VirtualService' }).click();
        const dialog = page.locator('#dialog[open]');
        await dialog.locator('#object-yaml').waitFor();
        const text = await dialog.locator('#object-yaml').textContent();
        assert.match(text, /kind: VirtualService[\s\S]*weight: 80[\s\S]*weight: 20/);
        assert.doesNotMatch(text, /managedFields/);
        assert.match(await dialog.innerText(), lang === 'en' ? /Last changed by Sluice at revision 1\./ : /Sluice 最近一次修改：修订 1。/);
        assert.doesNotMatch(await dialog.innerText(), lang === 'en' ? /Created by Sluice/ : /由 Sluice .*创建/);
        await dialog.locator('[data-copy-text]').click();
        await dialog.locator('[data-copy-text].copied').waitFor();
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
        assert.equal(await wide(page), false);
        assert.deepEqual(await axe(page), []);
        await picture(page, `object-dialog-${lang}-${width}`);
        await dialog.locator('[data-close]').click();
        assert.equal(await page.locator('#dialog[open]').count(), 0);
        // The same address is a page.
        await page.goto(`${app.url}${REVIEWS}/objects/DestinationRule/bookinfo/reviews`);
        assert.match(await page.locator('h1').innerText(), /^DestinationRule bookinfo\/reviews$/);
        assert.match(await page.locator('#object-yaml').textContent(), /subsets:/);
        assert.equal(await wide(page), false);
        assert.deepEqual(await axe(page), []);
        await picture(page, `object-page-${lang}-${width}`, { fullPage: true });
        assert.deepEqual(page.troubles, []);
      } finally { await page.context().close(); }
    });
  }
}

test('the API gives the object as it is in the cluster', { timeout: 30_000 }, async () => {
  const object = await api(app.url, 'GET', `/api/v1${REVIEWS}/objects/VirtualService/bookinfo/reviews`);
  assert.equal(object.status, 200);
  assert.equal(object.body.changed_at_revision, 1);
  assert.equal(object.body.object.metadata.managedFields, undefined);
  assert.ok(object.body.object.metadata.uid);
});
