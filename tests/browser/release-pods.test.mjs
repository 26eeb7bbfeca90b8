// A new version whose image cannot be pulled: its release names each pod and why it waits, and ticks nothing off.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, until } from './support.mjs';

let app, chromium, id;
before(async () => {
  app = await sluice();
  chromium = await browser();
  const spec = { service: { namespace: 'weather', name: 'forecast' }, strategy: 'canary', stable: 'v1',
    candidate: { from: 'image', version: 'v9', image: 'weather/forecast:broken', replicas: 2 },
    steps: [{ kind: 'weight', percent: 1 }, { kind: 'approval' }, { kind: 'weight', percent: 100 }] };
  const made = await api(app.url, 'POST', '/api/v1/releases', { spec, reason: 'REV-231' });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  id = made.body.id;
  await until(async () => (await api(app.url, 'GET', `/api/v1/releases/${id}`)).body.waiting_pods.length === 2, 'both pods wait', 30_000);
}, { timeout: 120_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const FITS = () => document.documentElement.scrollWidth <= document.documentElement.clientWidth;

for (const [lang, words] of [['en', { title: 'v9: 0 of 2 pods ready', next: 'waits until all pods of v9 are ready' }], ['zh', { title: 'v9：0/2 个容器组就绪', next: '等待 v9 的全部容器组就绪' }]]) {
  for (const width of [1280, 390]) {
    test(`a pod whose image cannot be pulled is named with its cause, and nothing is ticked off (${lang}, ${width})`, { timeout: 60_000 }, async () => {
      const page = await open(chromium, app.url, `/releases/${id}`, { lang, width });
      try {
        const pods = page.locator('#rel-pods');
        await pods.waitFor();
        const text = await pods.innerText();
        assert.ok(text.includes(words.title), text);
        assert.equal(text.match(/ImagePullBackOff/g).length, 2, text);
        assert.match(text, /forecast-v9-\S+[\s\S]*Back-off pulling image "weather\/forecast:broken"/);
        assert.ok((await page.locator('#rel-now').innerText()).includes(words.next));
        const first = page.locator('#rel-steps > li').first();
        assert.equal(await first.getAttribute('aria-current'), 'step');
        assert.equal(await first.locator('.i-ok').count(), 0);
        assert.ok(await page.evaluate(FITS), 'nothing scrolls sideways');
        assert.deepEqual(await axe(page), []);
        await picture(page, `release-pods-${lang}-${width}`, { fullPage: true });
        assert.deepEqual(page.troubles, []);
      } finally { await page.context().close(); }
    });
  }
}
