// What has to be accepted before a release starts, and the name of a release, on the pages in both languages.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, picture, sluice, until, visit } from './support.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

const FITS = () => document.documentElement.scrollWidth <= document.documentElement.clientWidth;

for (const [lang, words] of [['en', /GitOps/], ['zh', /GitOps/]]) {
  for (const width of [1280, 390]) {
    test(`the wizard asks for what a change by hand would have to acknowledge (${lang}, ${width})`, { timeout: 60_000 }, () => on('/releases/new?service=shop/cart&version=v2', async (page) => {
      const box = page.locator('#accept-gitops');
      await box.waitFor();
      assert.match(await page.locator('#accepts').innerText(), words);
      assert.ok(await page.evaluate(FITS), 'nothing scrolls sideways');
      assert.deepEqual(await axe(page), []);
      await picture(page, `wizard-accepts-${lang}-${width}`, { fullPage: true });
      await page.locator('#reason').fill('REV-300');
      await box.check();
      // The tick is kept by the plan that follows.
      await until(async () => !(await page.locator('#err-accept').isVisible()), 'it is accepted');
      assert.ok(await page.locator('#accept-gitops').isChecked());
    }, { lang, width }));
  }
}

test('a release has a name: in its title, in the list, and found by it', { timeout: 60_000 }, async () => {
  const spec = { service: { namespace: 'bookinfo', name: 'reviews' }, strategy: 'canary', stable: 'v1', candidate: { from: 'adopt', version: 'v2' },
    steps: [{ kind: 'weight', percent: 10 }, { kind: 'approval' }, { kind: 'weight', percent: 100 }], name: 'bookinfo-canary' };
  const long = await api(app.url, 'POST', '/api/v1/releases', { spec: { ...spec, name: 'x'.repeat(81) }, reason: 'r' });
  assert.equal(long.status, 422, JSON.stringify(long.body));
  const made = await api(app.url, 'POST', '/api/v1/releases', { spec, reason: 'REV-231' });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  await on(`/releases/${made.body.id}`, async (page) => {
    assert.match(await page.locator('h1').innerText(), /^bookinfo-canary · reviews v1 → v2/);
    assert.match(await page.title(), /bookinfo-canary/);
    await picture(page, 'release-named');
    await page.goto(`${app.url}/releases?q=bookinfo-canary`);
    assert.match(await page.locator('#rows > tr').first().innerText(), /bookinfo-canary/);
    assert.equal(await page.locator('#rows > tr').count(), 1);
  });
  await api(app.url, 'POST', `/api/v1/releases/${made.body.id}/commands?wait=30`, { command: 'abort' });
});
