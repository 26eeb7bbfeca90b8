// What leaves the page and what the API's twin does: checks 55 and 56 of the browser list.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, sluice } from './support.mjs';
import { acceptAll, apply, checked, declared, given, history, REVIEWS, type } from './gestures.mjs';
import { furnish, PLACES } from './places.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); await furnish(app.url); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

test('55. no violation of the content security policy on any page, and no request leaves the host', { timeout: 120_000 }, async () => {
  const page = await open(chromium, app.url, '/services');
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  for (const [name, at, act] of PLACES) {
    const answer = await page.goto(app.url + at);
    const policy = answer.headers()['content-security-policy'];
    assert.ok(policy, name);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*|https?:/, name);
    if (act) await act(page);
    assert.equal(await page.locator('[style]:not([type=range]), [onclick], main style, script:not([src])').count(), 0, `${name}: nothing inline`);
    assert.deepEqual(page.troubles, [], name);
  }
  await page.context().close();
});

test('55. style sheet and scripts together are below 150 KB, uncompressed', { timeout: 30_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  const addresses = await page.evaluate(() => [...document.querySelectorAll('link[rel=stylesheet], script[src]')].map((at) => at.href || at.src));
  let total = 0;
  for (const at of addresses) total += (await (await fetch(at, { headers: { 'accept-encoding': 'identity' } })).arrayBuffer()).byteLength;
  assert.ok(addresses.length >= 4);
  assert.ok(total < 150_000, `${total} bytes`);
  await page.context().close();
});

test('56. the same change by the page and by "Same change through the API": result, checks and entry are the same', { timeout: 60_000 }, async () => {
  const start = { v1: 60, v2: 30, v3: 10 };
  const page = await open(chromium, app.url, REVIEWS);
  await type(page, 'v2', 50);
  await checked(page);
  const summary = page.locator('#preview summary', { hasText: 'Same change through the API' });
  await summary.click();
  const shown = await page.locator('#preview details pre i').allInnerTexts();
  // Three elements: the line, the header, the body.
  const [, method, path] = /^(\S+) (\S+)$/.exec(shown[0]);
  const [, match] = /^If-Match: (.+)$/.exec(shown[1]);
  const body = JSON.parse(shown.slice(2).join('\n'));
  await acceptAll(page);
  const codes = await page.locator('#preview .checks li').evaluateAll((all) => all.map((li) => li.dataset.code));
  await apply(page, 'twice the same');
  const byPage = (await history(app.url, REVIEWS))[0], after_ = await declared(app.url, REVIEWS);

  await given(app.url, REVIEWS, start);
  assert.equal(match, '"2"', 'the revision that the page was about');
  const etag = (await api(app.url, 'GET', path.replace('/traffic', ''))).headers.get('etag');
  const call = { ...body, reason: 'twice the same' };
  const preview = await api(app.url, 'POST', `${path}/preview`, call, { 'if-match': etag });
  assert.deepEqual(preview.body.checks.map((one) => one.code).sort(), codes.sort());
  const answer = await api(app.url, method, path, call, { 'if-match': etag });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.deepEqual(await declared(app.url, REVIEWS), after_);
  const byApi = (await history(app.url, REVIEWS))[0];
  assert.deepEqual([byPage.channel, byApi.channel], ['browser', 'api']);
  for (const field of ['action', 'result', 'reason', 'before', 'after', 'actor']) assert.deepEqual(byApi[field], byPage[field], field);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
