// Match rules and mirror: checks 21 to 23 of the browser list. The demo's mesh routes by the actual objects, so what
// its pages show is what Envoy would have done.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, picture, sluice, until } from './support.mjs';
import { apply, checked, declared, number, REVIEWS, said, type } from './gestures.mjs';

const CATALOG = '/services/shop/catalog';
let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const service = async (at) => (await api(app.url, 'GET', `/api/v1${at}`)).body;

/** Which versions of reviews answered 100 views of the product page by this person. */
async function tally(user) {
  const text = await (await fetch(`${app.url}/demo/bookinfo/productpage?n=100&user=${user}`)).text();
  const label = /role="img" aria-label="[^"]*?(v\d[^"]*)"/.exec(text.slice(text.indexOf('h-way')))[1];
  return Object.fromEntries([...label.matchAll(/(v\d) ([\d.]+)%/g)].map(([, version, share]) => [version, Number(share)]));
}

async function addRule(page, name, value, version) {
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.locator('#when-0-name').waitFor();
  await page.locator('#when-0-in').selectOption('header');
  await page.locator('#when-0-name').fill('end-user');
  await page.locator('#when-0-op').selectOption('exact');
  await page.locator('#when-0-value').fill(value);
  await page.locator('#rule-to').selectOption(version);
  await page.locator('#rule-name').fill(name);
  await page.getByRole('button', { name: 'Use this rule' }).click();
  await page.locator('#rules b', { hasText: name }).waitFor();
  await checked(page);
}

const order = (page) => page.locator('#rules td b:first-child').allInnerTexts();

test('23. the mirror shows its warning; the observed bar ignores mirrored requests', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  assert.match(await page.locator('section[aria-labelledby=h-mirror]').innerText(), /their writes are real/);
  await page.locator('#mv').selectOption('v3');
  await page.locator('#mp').fill('100');
  await page.locator('#mp').press('Tab');
  await apply(page, 'copies only');
  assert.match(await page.locator('section[aria-labelledby=h-mirror]').innerText(), /100% mirrored to v3/);
  await page.waitForTimeout(6000);
  const now = await service(REVIEWS);
  assert.deepEqual(now.mirror, { version: 'v3', percent: 100 });
  assert.equal(now.observed.v3, 0, JSON.stringify(now.observed));
  assert.ok(!(await page.locator('#t-observed [role=img]').getAttribute('aria-label')).includes('v3'));
  assert.deepEqual(await declared(app.url, REVIEWS), { v1: 100, v2: 0, v3: 0 });
  await page.locator('#mv').selectOption('');
  assert.equal(await said(page), 'Requests are no longer mirrored to v3.');
  await apply(page, 'no more copies');
  assert.equal((await service(REVIEWS)).mirror, null);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('21. rules are added and reordered by keyboard; the first match wins in real requests', { timeout: 90_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  assert.deepEqual(await tally('jason'), { v1: 100 });
  await addRule(page, 'testers', 'jason', 'v2');
  assert.match(await said(page), /Match rule: header end-user equals jason → v2 \(added\)\./);
  await picture(page, 'rule-pending', { fullPage: true });
  await apply(page, 'testers see v2');
  await until(async () => (await tally('jason')).v2 === 100, 'jason sees v2');
  assert.deepEqual(await tally(''), { v1: 100 }, 'nobody else does');

  await addRule(page, 'also-testers', 'jason', 'v3');
  assert.deepEqual((await order(page)).slice(0, 2), ['testers', 'also-testers']);
  const up = page.getByRole('button', { name: 'Move rule 2 up' });
  await up.focus();
  await page.keyboard.press('Enter');
  await until(async () => (await order(page))[0] === 'also-testers', 'the second rule is first');
  await checked(page);
  assert.ok(await page.evaluate(() => document.getElementById('rules-card').contains(document.activeElement)), 'the focus stays at the rules');
  await apply(page, 'the other way round');
  await until(async () => (await tally('jason')).v3 === 100, 'the first match wins');
  assert.deepEqual((await service(REVIEWS)).rules.map((rule) => rule.name), ['also-testers', 'testers']);

  for (let left = 2; left > 0; left--) {
    await page.getByRole('button', { name: 'Remove rule 1' }).click();
    await until(async () => (await order(page)).length === left - 1, 'a rule less');
  }
  await checked(page);
  await apply(page, 'tests are over');
  await until(async () => (await tally('jason')).v1 === 100, 'as in the beginning');
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('21. a rule is tried against a sample value before it is used; a wrong one says why', { timeout: 30_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  await page.getByRole('button', { name: 'Add rule' }).click();
  await page.locator('#when-0-name').fill('end-user');
  await page.locator('#when-0-op').selectOption('regex');
  await page.locator('#when-0-value').fill('qa-[0-9]+');
  for (const [sample, answer] of [['qa-17', 'This value matches.'], ['xqa-17', 'This value does not match.']]) {
    await page.locator('#rule-sample').fill(sample);
    await page.getByRole('button', { name: 'Test' }).click();
    await page.locator('#rules-card [role=status]', { hasText: answer }).waitFor();
  }
  await picture(page, 'rule-editor', { fullPage: true });
  await page.locator('#when-0-value').fill('qa-(?=x)');
  await page.getByRole('button', { name: 'Use this rule' }).click();
  await page.locator('#rules-card .note').waitFor();
  assert.equal(await page.locator('#when-0-value').inputValue(), 'qa-(?=x)', 'what was typed is kept');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('#when-0-name').waitFor({ state: 'detached' });
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('22. changing weights leaves rules and mirror untouched; changing rules leaves weights untouched', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, CATALOG);
  await page.locator('#mv').selectOption('v2');
  await page.locator('#mp').fill('20');
  await page.locator('#mp').press('Tab');
  assert.equal(await said(page), '20% of requests are mirrored to v2.');
  await apply(page, 'try v2 with copies');
  const first = await service(CATALOG);
  assert.deepEqual(first.mirror, { version: 'v2', percent: 20 });
  assert.deepEqual(first.declared, { v1: 95, v2: 5 });
  assert.equal(first.rules.length, 2);

  await type(page, 'v2', 15);
  assert.equal(await said(page), '10% of requests move from v1 to v2.');
  await apply(page, 'only weights');
  const second = await service(CATALOG);
  assert.deepEqual([second.declared, second.rules, second.mirror], [{ v1: 85, v2: 15 }, first.rules, first.mirror]);

  await page.getByRole('button', { name: 'Move rule 2 up' }).click();
  await page.getByRole('button', { name: 'Move rule 1 down' }).waitFor();
  assert.equal(await said(page), 'Match rule: rules in another order.');
  await apply(page, 'only rules');
  const third = await service(CATALOG);
  assert.deepEqual([third.declared, third.mirror], [second.declared, second.mirror]);
  assert.deepEqual(third.rules.map((rule) => rule.name ?? null), first.rules.map((rule) => rule.name ?? null).reverse());
  assert.equal(await number(page, 'v2').inputValue(), '15');
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('21. hits rise while requests come, and move with their rule; without a source that counts there is no column', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, CATALOG);
  const hits = (id) => page.locator(`#hits-${id}`).innerText().then((text) => Number(text.replaceAll(',', '')));
  assert.match(await page.locator('#rules-card thead').innerText(), /Matched, 5 min/);
  const first = await hits('rest');
  assert.ok(first > 0, `${first}`);
  // Counted over five minutes: what falls out of the window at its other end is the past, which began with fewer.
  await until(async () => await hits('rest') !== first, 'the count changes without a reload', 30_000);
  await page.locator('#rule-down-0').click();
  await until(async () => await page.locator('#rules tr').nth(1).locator('#hits-0').count() === 1, 'the count goes down with its rule');
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
