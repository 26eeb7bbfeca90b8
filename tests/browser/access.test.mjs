// Errors and emptiness: what the demo can show of checks 44 to 46 of the browser list. Roles, sign-in and a dead API server
// need a real API server: cluster.test.mjs and troubles.test.mjs.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, picture, sluice, visit } from './support.mjs';
import { number, post, RATINGS } from './gestures.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

test('44. what somebody else moves: all figures, no enabled control, and who can help', { timeout: 30_000 }, () => on('/services/shop/checkout', async (page) => {
  assert.match(await page.locator('#findings').innerText(), /Argo Rollouts shifts the traffic of this service[\s\S]*Change the weight there/);
  assert.equal(await page.locator('#t-observed [role=img]').count(), 1);
  assert.match(await page.locator('#weights').innerText(), /2\/2 ready[\s\S]*success[\s\S]*p95/);
  assert.equal(await page.locator('#weights input:not([type=hidden]):enabled, #weights button:enabled, #mv:enabled, #rules-card button:enabled, .head .acts button:enabled').count(), 0);
  const add = page.getByRole('button', { name: 'Add rule' });
  assert.ok(await add.isDisabled(), 'it keeps its place');
  assert.match(await add.getAttribute('title'), /Argo Rollouts shifts the traffic of this service/);
  const answer = await api(app.url, 'PUT', '/api/v1/services/shop/checkout/traffic', { weights: { v1: 70, v2: 30 }, reason: 'all the same' }, { 'if-match': '"0"' });
  assert.deepEqual([answer.status, answer.body.code], [409, 'owned_by_controller']);
}));

for (const lang of ['en', 'zh']) {
  test(`45. a wrong address: a page of its own with cause, request id and next step (${lang})`, { timeout: 30_000 }, () => on('/services', async (page) => {
    for (const [at, status] of [['/nowhere', 404], ['/services/bookinfo/nobody', 404], ['/audit/999999', 404], ['/services/bookinfo/reviews/traffic/apply', 405]]) {
      const answer = await page.goto(app.url + at);
      assert.equal(answer.status(), status, at);
      const text = await page.locator('main').innerText();
      assert.match(text, new RegExp(`${status} · [a-z_]+ · ${lang === 'en' ? 'request' : '请求'}.*[0-9a-f-]{36}`), at);
      assert.equal(answer.headers()['x-request-id'], /[0-9a-f-]{36}/.exec(text)[0], at);
      assert.ok(await page.locator('main a[href="/services"]').isVisible(), 'the next step');
      assert.equal(await page.locator('main [role=alert]').count(), 1);
    }
  }, { lang }));
}

test('45. a form that is not ours is refused and nothing is written', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  await number(page, 'v2').fill('15');
  const status = await page.evaluate(async (at) => {
    const answer = await fetch(at, { method: 'POST', body: new URLSearchParams({ 'w.v1': '85', 'w.v2': '15', reason: 'x', csrf: 'wrong' }) });
    return answer.status;
  }, `${RATINGS}/traffic/apply`);
  assert.equal(status, 403);
  const good = await post(page, `${RATINGS}/traffic/preview`, { 'w.v1': '85', 'w.v2': '15' });
  assert.equal(good.status, 200);
}));

test('45. the API answers problems with a stable code, a sentence and what to do next, in the language that was asked for', { timeout: 30_000 }, async () => {
  for (const [lang, pattern] of [['en', /There is no service/], ['zh-CN', /[一-鿿]/]]) {
    const answer = await api(app.url, 'GET', '/api/v1/services/bookinfo/nobody', undefined, { 'accept-language': lang });
    assert.equal(answer.status, 404);
    assert.match(answer.headers.get('content-type'), /application\/problem\+json/);
    assert.equal(answer.body.code, 'service_not_found');
    assert.match(JSON.stringify(answer.body), pattern);
    // The type of the problem is an address that explains it.
    const page = await open(chromium, app.url, answer.body.type, { lang: lang.slice(0, 2) });
    assert.match(await page.locator('tr:target').innerText(), /^service_not_found\s+404\s/);
    await page.context().close();
  }
});

test('45. no answer from Sluice while applying: what was typed is kept and it says that nothing is known', { timeout: 30_000 }, async () => {
  const page = await open(chromium, app.url, RATINGS);
  await number(page, 'v2').fill('20');
  await number(page, 'v2').press('Tab');
  await page.locator('#preview .say').waitFor();
  await page.locator('#why').fill('just before the train went into the tunnel');
  await page.route('**/traffic/apply', (route) => route.abort());
  await page.locator('#apply-btn').click();
  await page.locator('.lost').waitFor();
  assert.match(await page.locator('.lost').innerText(), /Sluice did not answer\.[\s\S]*not known whether the change was applied/);
  assert.equal(await page.locator('#why').inputValue(), 'just before the train went into the tunnel');
  await page.unroute('**/traffic/apply');
  await page.locator('#apply-btn').click();
  await page.locator('#toasts .toast').waitFor();
  await page.context().close();
});

test('the API reference shows every operation of releases with a call, and the calls are right', { timeout: 30_000 }, () => on('/api/docs', async (page) => {
  const { paths } = (await api(app.url, 'GET', '/api/openapi.json')).body;
  const wanted = Object.entries(paths).flatMap(([at, item]) => Object.entries(item).filter(([, one]) => one.tags?.includes('releases')).map(([method, one]) => [one.operationId, method, at]));
  assert.ok(wanted.length >= 8, wanted.join());
  for (const [id, method] of wanted) {
    const call = await page.locator(`#${id} pre`).textContent();
    assert.match(call, /^curl (-X [A-Z]+ )?"\$SLUICE\/api\/v1\/release/, id);
    assert.doesNotMatch(call, /\{\w+\}/, `${id}: no hole in the address`);
    const body = /-d '(.*)'$/.exec(call)?.[1];
    assert.equal(['post', 'put'].includes(method), body !== undefined, id);
    if (body) JSON.parse(body);
  }
  await page.locator('#planRelease summary').click();
  const body = /-d '(.*)'$/.exec(await page.locator('#planRelease pre').innerText())[1];
  const plan = await api(app.url, 'POST', '/api/v1/releases/plan', JSON.parse(body));
  assert.deepEqual([plan.status, plan.body.possible], [200, true], JSON.stringify(plan.body));
  await picture(page, 'api-release');
}));

test('46. an empty filter, nothing that needs attention and an empty history each say so, and offer a way on', { timeout: 30_000 }, () => on('/services?q=reviws', async (page) => {
  assert.match(await page.locator('#results').innerText(), /No service matches “reviws”[\s\S]*Did you mean[\s\S]*reviews/);
  await page.locator('#results').getByRole('link', { name: 'reviews' }).click();
  assert.equal(await page.locator('h1, #rows > tr').count() > 0, true);
  await page.goto(`${app.url}/services?show=attention&ns=weather`);
  assert.match(await page.locator('#results').innerText(), /Nothing needs attention/);
  await page.goto(`${app.url}/audit?service=weather/forecast`);
  assert.match(await page.locator('#results').innerText(), /No entry matches these filters/);
}));
