// Language and theme: checks 53 and 54 of the browser list.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { browser, open, sluice } from './support.mjs';
import { REVIEWS } from './gestures.mjs';
import { furnish, PLACES } from './places.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); await furnish(app.url); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

// Names of things and of people's tools, which no language translates.
const NAMES = new Set(`Sluice DEMO HTTP TCP GET PUT POST API REST JSON CSV YAML OpenAPI Ctrl Enter UTC VirtualService DestinationRule Istio Argo Rollouts CD Helm
  GitOps Git Kubernetes Cookie cookie DNS Sidecar sidecar Envoy BookInfo Bookinfo v1 v2 v3 p95 ms s English demo jason lin gmail com ImagePullBackOff set by a test
  id If Match Service Deployment EndpointSlice RE2 Path Header URL Webhook reviws nobody
  ServiceEntry serviceentries sidecars egress webhook UUID Prometheus StatefulSet ETag DELETE RE hosts gateways IP get list watch PromQL sha kubectl TLS UDP`.split(/\s+/));

test('53. Chinese pages have no English left except names and codes, and say that they are Chinese', { timeout: 120_000 }, async () => {
  const page = await open(chromium, app.url, '/services', { lang: 'zh' });
  const found = [];
  for (const [name, at, act] of PLACES) {
    await page.goto(app.url + at);
    if (act) await act(page);
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
    const texts = await page.evaluate(() => {
      const skip = 'noscript, code, pre, .diff, .ver, .img, kbd, script, style, [lang=en], .verb, .c-name, .brand, time';
      const out = [document.title];
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(skip)) out.push(walk.currentNode.data);
      for (const at of document.querySelectorAll('[aria-label], [placeholder], [title], #texts')) {
        if (at.closest('[lang=en]') || at.matches('.img')) continue;
        for (const attribute of at.attributes) if (/^(aria-label|placeholder|title)$/.test(attribute.name) || (at.id === 'texts' && attribute.name.startsWith('data-'))) out.push(attribute.value);
      }
      return out;
    });
    // What the cluster names: services, namespaces, versions, images, rules, addresses.
    const mine = /[a-z0-9]+(?:[-./:_@]~?[a-z0-9-]+)+|\/[\w./?=&-]+|\{\w+\}/gi;
    const given = /\b(?:Shown in the demo|newsletter|pricing|RAT|half|stars|CAT|faster|lists|bookinfo|reviews|ratings|details|productpage|mongodb|shop|weather|frontend|forecast|advertisement|recommendation|catalog|cart|checkout|accounts|search|storefront|sessions|canary|stable|default|browser|everybody|else)\b/g;
    for (const text of texts) {
      for (const [word] of text.replace(mine, ' ').replace(given, ' ').matchAll(/[A-Za-z][A-Za-z']+/g)) {
        if (!NAMES.has(word)) found.push(`${name}: ${word} in "${text.trim().slice(0, 80)}"`);
      }
    }
  }
  assert.deepEqual([...new Set(found)], []);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('53. no sentence of either language has a hole where a value is missing', { timeout: 120_000 }, async () => {
  const found = [];
  for (const lang of ['en', 'zh']) {
    const page = await open(chromium, app.url, '/services', { lang });
    for (const [name, at, act] of PLACES) {
      await page.goto(app.url + at);
      if (act) await act(page);
      for (const text of await page.locator('.note p, .checks li, .say, #act p, .meta span, .attn p').allInnerTexts()) {
        if (/–(?!\d)|%\{|code\.|undefined|NaN/.test(text)) found.push(`${lang} ${name}: ${text}`);
      }
    }
    await page.context().close();
  }
  assert.deepEqual(found, []);
});

test('54. theme and language follow the cookie on the first paint', { timeout: 30_000 }, async () => {
  for (const [theme, colour] of [['light', 'rgb(245, 246, 248)'], ['dark', 'rgb(14, 17, 22)']]) {
    // Without scripts: what is seen then is what the server sent.
    const page = await open(chromium, app.url, REVIEWS, { lang: 'zh', theme, js: false });
    assert.equal(await page.locator('html').getAttribute('data-theme'), theme);
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
    const session = await page.context().newCDPSession(page);
    const { root } = await session.send('DOM.getDocument');
    const { nodeId } = await session.send('DOM.querySelector', { nodeId: root.nodeId, selector: 'body' });
    await session.send('DOM.enable');
    await session.send('CSS.enable');
    const { computedStyle } = await session.send('CSS.getComputedStyleForNode', { nodeId });
    assert.equal(computedStyle.find((one) => one.name === 'background-color').value, colour);
    await page.context().close();
  }
});

test('54. the language link keeps the page and its filters; so does the theme', { timeout: 30_000 }, async () => {
  const page = await open(chromium, app.url, '/services?ns=shop&show=not_routable&q=e');
  const rows = await page.locator('#rows > tr').count();
  await page.locator('[data-language]').click();
  await page.waitForFunction(() => document.documentElement.lang === 'zh-CN');
  assert.equal(await page.locator('#q').inputValue(), 'e');
  assert.equal(await page.locator('#ns').inputValue(), 'shop');
  assert.equal(await page.locator('#rows > tr').count(), rows);
  await page.goto(`${app.url}/audit`);
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN', 'the choice stays');
  await page.locator('[data-theme-next]').click();
  const theme = await page.locator('html').getAttribute('data-theme');
  await page.reload();
  assert.equal(await page.locator('html').getAttribute('data-theme'), theme);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
