// The flows that the product was asked for, each as one visit: from the page that a person starts on to what they want,
// with clicks and typed fields counted. A number here is the most that the flow may take. Ticks that the state of the
// cluster asks for (a big jump, few pods) count as well.
//   30/70 from the list: newcomer-audit.test.mjs ("at most seven actions")
//   the same in both languages, and without JavaScript: main.test.mjs
//   a failed analysis, pause, resume, abort: releases.test.mjs, releases-analysis.test.mjs
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, sluice, until } from './support.mjs';
import { checked, declared, given, REVIEWS } from './gestures.mjs';
import { begin, inPhase, read, weight } from './releasing.mjs';

const MOST = { takeOver: 5, release: 11, mirror: 7, rule: 9, retire: 6, back: 3, asOf: 5 };

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

/** One visit. `act` is what a person does: it counts. */
async function visit(at, most, run, options) {
  const page = await open(chromium, app.url, at, options);
  let actions = 0;
  const act = async (what) => { actions += 1; await what; };
  try {
    await run(page, act);
    assert.deepEqual(page.troubles, []);
    assert.ok(actions <= most, `${actions} actions, at most ${most}`);
    assert.ok(actions > 0 || most === 0, 'something was done');
  } finally { await page.context().close(); }
}

/** Opens a service from the list. */
async function to(page, act, name) {
  await act(page.locator('#rows a', { hasText: new RegExp(`^${name}$`) }).click());
  await page.waitForURL(`**/${name}`);
}

/** Accepts what is asked for, gives the reason and applies. */
async function applied(page, act, reason) {
  await checked(page);
  for (const box of await page.locator('#preview input[name=ack]:not(:checked)').all()) { await act(box.check()); await checked(page); }
  await act(page.locator('#why').fill(reason));
  await until(async () => await page.locator('#apply-btn').getAttribute('aria-disabled') === null, 'it can be applied');
  await act(page.locator('#apply-btn').click());
  await page.locator('#toasts .toast').waitFor({ timeout: 20_000 });
}

/** Who answers 100 views of the product page by this person. */
async function tally(user) {
  const text = await (await fetch(`${app.url}/demo/bookinfo/productpage?n=100&user=${encodeURIComponent(user)}`)).text();
  const label = /role="img" aria-label="[^"]*?(v\d[^"]*)"/.exec(text.slice(text.indexOf('h-way')))[1];
  return Object.fromEntries([...label.matchAll(/(v\d) ([\d.]+)%/g)].map(([, version, share]) => [version, Number(share)]));
}

const all = { v1: 100, v2: 0, v3: 0 };
const reset = () => given(app.url, REVIEWS, all).catch((error) => assert.match(error.message, /nothing_asked/));

test('a version takes over all traffic, from the list', { timeout: 60_000 }, async () => {
  await reset();
  await visit('/services', MOST.takeOver, async (page, act) => {
    await to(page, act, 'reviews');
    await act(page.locator('fieldset[data-version=v2] a[href*=takeover]').click());
    const dialog = page.locator('#dialog[open]');
    await dialog.locator('h2').waitFor();
    for (const box of await dialog.locator('input[name=ack]').all()) await act(box.check());
    await act(dialog.locator('textarea').fill('v2 is good'));
    await act(dialog.locator('button.pri').click());
    await until(async () => (await declared(app.url, REVIEWS)).v2 === 100, 'v2 has all traffic');
  });
});

test('switch back from the page of the service', { timeout: 60_000 }, async () => {
  await reset();
  await given(app.url, REVIEWS, { v1: 30, v2: 70, v3: 0 });
  await visit('/services', MOST.back, async (page, act) => {
    await to(page, act, 'reviews');
    await act(page.locator('#back').click());
    const dialog = page.locator('#dialog[open]');
    await dialog.locator('h2').waitFor();
    await act(dialog.locator('button.pri').click());
    await until(async () => (await declared(app.url, REVIEWS)).v1 === 100, 'v1 has all traffic');
  });
});

test('a tenth of the requests is mirrored to a version', { timeout: 60_000 }, async () => {
  await reset();
  await visit('/services', MOST.mirror, async (page, act) => {
    await to(page, act, 'reviews');
    await act(page.locator('#mv').selectOption('v3'));
    await act(page.locator('#mp').fill('10'));
    await page.locator('#mp').press('Tab');
    await applied(page, act, 'copies to v3');
    assert.deepEqual((await api(app.url, 'GET', `/api/v1${REVIEWS}`)).body.mirror, { version: 'v3', percent: 10 });
    // It is shown wherever the split is shown.
    assert.match(await page.locator('#t-declared').innerText(), /10% mirrored to v3/);
  });
});

test('users with a gmail address get v3, by a match rule', { timeout: 90_000 }, async () => {
  await reset();
  await visit('/services', MOST.rule, async (page, act) => {
    await to(page, act, 'reviews');
    await act(page.getByRole('button', { name: 'Add rule' }).click());
    await page.locator('#when-0-name').waitFor();
    await act(page.locator('#when-0-name').fill('end-user'));
    await act(page.locator('#when-0-op').selectOption('regex'));
    await act(page.locator('#when-0-value').fill('.*@gmail\\.com'));
    const target = page.locator('select[name="rule.to"]');
    if (await target.count()) await act(target.selectOption('v3'));
    else await act(page.locator('input[name="rule.w.v3"]').fill('100'));
    await act(page.getByRole('button', { name: 'Use this rule' }).click());
    await page.locator('#rule-name').waitFor({ state: 'detached' });
    await applied(page, act, 'gmail users get v3');
    await until(async () => (await tally('kim@gmail.com')).v3 === 100, 'gmail users get v3');
    assert.equal((await tally('kim@example.com')).v3 ?? 0, 0, 'nobody else does');
    assert.match(await page.locator('#t-declared').innerText(), /1 match rule/);
    assert.doesNotMatch(await page.locator('#rules').innerText(), /sluice-[0-9a-f]{8}/, 'nobody gave it a name');
  });
  const page = await api(app.url, 'GET', `/api/v1${REVIEWS}`);
  await api(app.url, 'PUT', `/api/v1${REVIEWS}/traffic`, { rules: [], no_mirror: true, reason: 'as before', ack: ['big_jump', 'few_pods'] }, { 'if-match': page.headers.get('etag') });
});

test('a canary release of a new image by the wizard, up to its start', { timeout: 90_000 }, async () => {
  await reset();
  let id;
  await visit('/services', MOST.release, async (page, act) => {
    await to(page, act, 'details');
    await act(page.locator('.head .acts a[href^="/releases/new"]').click());
    await page.waitForURL('**/releases/new?service=*');
    await act(page.locator('#version').fill('v7'));
    await act(page.locator('#image').fill('registry.example/details:1.19.0'));
    await act(page.locator('#reason').fill('REL-7'));
    await page.locator('#reason').press('Tab');
    for (let tries = 0; tries < 4 && /\/releases\/(new|drafts)/.test(page.url()); tries++) {
      await page.waitForTimeout(700);
      for (const box of await page.locator('#draft input[name=ack]:not(:checked), #wiz-accepts input[name=ack]:not(:checked)').all()) await act(box.check());
      await act(page.locator('#start-btn').click());
      await page.waitForURL(/\/releases\/R-\d+$/, { timeout: 4_000 }).catch(() => {});
    }
    id = /R-\d+$/.exec(page.url())?.[0];
    assert.ok(id, `it is started: ${page.url()}`);
  });
  assert.equal((await read(app.url, id)).phase, 'running');
  await api(app.url, 'POST', `/api/v1/releases/${id}/commands?wait=20`, { command: 'abort' });
});

test('the old version is retired once the release is done, and its Deployment is gone', { timeout: 90_000 }, async () => {
  const id = await begin(app.url, { name: 'ratings', steps: [weight(100)] });
  await inPhase(app.url, id, 'succeeded');
  await visit('/releases', MOST.retire, async (page, act) => {
    await act(page.getByRole('link', { name: id }).first().click());
    await page.locator('#rel-after a.btn').first().waitFor();
    await act(page.locator('#rel-after a.btn').first().click());
    const dialog = page.locator('#dialog[open]');
    await dialog.locator('#act-name').waitFor();
    await act(dialog.locator('#act-name').fill('ratings v1'));
    await act(dialog.locator('#act-why').fill('v2 has proved itself'));
    for (const box of await dialog.locator('input[name=ack]:not(:checked)').all()) await act(box.check());
    await act(dialog.locator('button.bad').click());
    await until(async () => !(await api(app.url, 'GET', '/api/v1/services/bookinfo/ratings')).body.versions.some((one) => one.name === 'v1'), 'v1 is gone', 30_000);
  });
});

test('who gave reviews its split, and when: from the history to what was in force', { timeout: 60_000 }, async () => {
  await reset();
  await given(app.url, REVIEWS, { v1: 60, v2: 40, v3: 0 });
  await visit('/services', MOST.asOf, async (page, act) => {
    await to(page, act, 'reviews');
    await act(page.locator('.head .acts a[href^="/audit?service="]').click());
    await page.waitForURL('**/audit?service=**');
    await act(page.locator('.head a.btn').click());
    await page.waitForURL('**/audit/as-of?**');
    assert.match(await page.locator('.as-of').innerText(), /v1 60% · v2 40%[\s\S]*demo/);
  });
});

test('scaling is not done here: the page that a visitor starts on says with what it is done', { timeout: 30_000 }, () => visit('/services', 0, async (page) => {
  assert.match(await page.locator('.guide').innerText(), /kubectl/);
}));
