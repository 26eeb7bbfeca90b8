// The main path against a real Kubernetes API server, with real tokens and real RBAC: what amy does, what vic may not,
// and pods that come and go under the page (checks 6, 44, 45 and the main path of the browser list).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { axe, open, picture, until } from './support.mjs';
import { apply, checked, number, preset, REVIEWS, row, said, slider, type } from './gestures.mjs';
import { layer, signIn } from './cluster.mjs';

const on = layer();
const { skip, as } = on;

const WORDS = {
  en: { sentence: '70% of requests move from v1 to v2.', send: 'Take over all traffic with v2', back: /^Back to .+ \(revision \d+\)$/, goBack: /^Back to /, denied: /You can see bookinfo\/reviews but cannot change its traffic/, ended: /Sign in/ },
  zh: { sentence: '70% 的请求将从 v1 转到 v2。', send: '由 v2 接管全部流量', back: /^切回 .+（修订 \d+）$/, goBack: /^切回 /, denied: /bookinfo\/reviews/, ended: /登录/ },
};

async function done(page) {
  assert.deepEqual(page.troubles, []);
  await page.context().close();
}

for (const lang of ['en', 'zh']) {
  const words = WORDS[lang];
  test(`services → service → 30/70 → take over → switch back → history, on a real API server (${lang})`, { skip, timeout: 90_000 }, async () => {
    const page = await as('amy', '/services', { lang });
    assert.match(await page.locator('.who summary').innerText(), /amy/);
    await page.locator('#rows a', { hasText: /^reviews$/ }).click();
    await page.waitForURL(`**${REVIEWS}`);
    if (lang === 'zh') { // the way is the same each time: back to where it begins
      await preset(page, 'v1', 100).click();
      await apply(page, 'CHG-0');
    }
    const before = on.real.get('virtualservice', 'bookinfo', 'reviews');
    await type(page, 'v2', 70);
    assert.equal(await said(page), words.sentence);
    await picture(page, `real-pending-${lang}`, { fullPage: true });
    await apply(page, 'CHG-1');
    assert.deepEqual(on.real.weights('bookinfo', 'reviews'), { v1: 30, v2: 70, v3: 0 });
    const after_ = on.real.get('virtualservice', 'bookinfo', 'reviews');
    for (const spec of [before.spec, after_.spec]) for (const to of spec.http[0].route) delete to.weight;
    assert.deepEqual(after_.spec, before.spec, 'nothing but numbers changed');

    await row(page, 'v2').locator('a[href*=takeover]').click();
    const dialog = page.locator('#dialog');
    await dialog.locator('h2').waitFor();
    for (const box of await dialog.locator('input[name=ack]').all()) await box.check();
    await dialog.locator('textarea').fill('CHG-2');
    await dialog.getByRole('button', { name: words.send }).click();
    await until(async () => on.real.weights('bookinfo', 'reviews').v2 === 100, 'v2 has all traffic');
    await page.locator('#toasts .toast').waitFor();

    await page.locator('.head .acts a', { hasText: words.back }).click();
    await dialog.locator('h2').waitFor();
    await dialog.getByRole('button', { name: words.goBack }).click();
    await until(async () => on.real.weights('bookinfo', 'reviews').v2 === 70, 'the split of before');
    await page.waitForFunction(() => document.querySelector('fieldset[data-version=v2] input[type=number]')?.value === '70');

    await page.locator('.side a[href="/audit"]').click();
    await page.waitForURL('**/audit');
    const rows = page.locator('#entries > tr');
    const actions = await rows.evaluateAll((all) => all.map((one) => one.innerText));
    assert.match(actions[2], /amy[\s\S]*CHG-1/);
    assert.match(actions[1], /amy[\s\S]*CHG-2/);
    assert.match(actions[0], /amy/);
    await rows.nth(2).locator('[data-detail]').click();
    await page.locator('tr.detail del').first().waitFor();
    assert.match(await page.locator('tr.detail').innerText(), /weight: 100[\s\S]*weight: 30/);
    await picture(page, `real-audit-${lang}`, { fullPage: true });
    await done(page);
  });
}

test('6. pods come and go: the controls of a version follow without a reload, what was typed stays', { skip, timeout: 90_000 }, async () => {
  const page = await as('amy', REVIEWS);
  const loaded = await page.evaluate(() => performance.timeOrigin);
  const usable = async () => await slider(page, 'v3').isEnabled() && await number(page, 'v3').isEnabled() && await preset(page, 'v3', 10).isVisible() && await row(page, 'v3').locator('a[href*=takeover]').count() === 1;
  const stuck = async () => await slider(page, 'v3').isDisabled() && await number(page, 'v3').isDisabled() && await preset(page, 'v3', 10).isHidden() && await row(page, 'v3').locator('a[href*=takeover]').count() === 0;
  assert.ok(await usable());
  await type(page, 'v2', 55);
  await page.locator('#why').fill('while pods come and go');
  const typed = async () => {
    assert.deepEqual([await number(page, 'v1').inputValue(), await number(page, 'v2').inputValue(), await page.locator('#why').inputValue()], ['45', '55', 'while pods come and go']);
  };

  on.real.ready('reviews', 'v3', 'false');
  await until(stuck, 'the controls of v3 go', 5000);
  assert.match(await row(page, 'v3').innerText(), /0\/1 ready[\s\S]*No ready pods, so v3 cannot receive traffic/);
  await typed();
  await picture(page, 'real-no-pods', { fullPage: true });
  assert.deepEqual(await axe(page), []);

  on.real.ready('reviews', 'v3', 'true');
  await until(usable, 'the controls of v3 are back', 5000);
  await typed();
  await preset(page, 'v3', 10).click();
  assert.equal(await number(page, 'v3').inputValue(), '10');
  await checked(page);

  // With a weight typed that is not written yet: the number stays, the check says why it cannot be applied, and stops saying so.
  on.real.ready('reviews', 'v3', 'false');
  await page.locator('#preview [data-code=no_ready_pods]').waitFor({ timeout: 5000 });
  assert.equal(await number(page, 'v3').inputValue(), '10', 'what was typed stays');
  assert.equal(await page.locator('#apply-btn').getAttribute('aria-disabled'), 'true');
  assert.match(await page.locator('#apply-why').innerText(), /Becomes possible when a pod is ready/);
  on.real.ready('reviews', 'v3', 'true');
  await until(async () => await page.locator('#preview [data-code=no_ready_pods]').count() === 0, 'it becomes possible by itself', 5000);
  assert.equal(await page.locator('#why').inputValue(), 'while pods come and go');
  assert.equal(await page.evaluate(() => performance.timeOrigin), loaded, 'all of that on one page');
  await done(page);
});

for (const lang of ['en', 'zh']) {
  test(`44. vic sees all figures, no enabled control, the reason and who can help (${lang})`, { skip, timeout: 60_000 }, async () => {
    const page = await as('vic', REVIEWS, { lang });
    assert.match(await page.locator('#denied').innerText(), WORDS[lang].denied);
    assert.equal(await page.locator('#t-declared [role=img]').count(), 1);
    assert.equal(await page.locator('.vrow .vstat').count(), 3);
    const enabled = await page.locator('main :is(input:not([type=hidden]), select, textarea, button):enabled').evaluateAll((all) => all.filter((one) => one.checkVisibility()).map((one) => one.outerHTML));
    assert.deepEqual(enabled, []);
    assert.equal(await page.locator('main a[href*="/traffic/"]').count(), 0);
    // What others press keeps its place, and says why it cannot be pressed.
    for (const name of lang === 'en' ? ['Add rule', 'New release', 'Take over all traffic with v2', /^Back to .+ \(revision \d+\)$/] : ['添加规则', /^切回 .+（修订 \d+）$/]) {
      const button = page.getByRole('button', { name }).first();
      assert.ok(await button.isDisabled(), String(name));
      assert.match(await button.getAttribute('title'), /bookinfo/, String(name));
    }
    await picture(page, `real-viewer-${lang}`, { fullPage: true });
    assert.deepEqual(await axe(page), []);
    // A direct call gets the same answer, and it is in the history.
    const direct = await page.evaluate(async (at) => {
      const csrf = document.querySelector('meta[name=csrf]').content;
      const answer = await fetch(at, { method: 'POST', body: new URLSearchParams({ 'w.v1': '0', 'w.v2': '100', 'w.v3': '0', reason: 'x', csrf }), headers: { Accept: 'text/html' } });
      const text = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main').innerText;
      return { status: answer.status, text };
    }, `${REVIEWS}/traffic/apply`);
    assert.equal(direct.status, 403);
    assert.match(direct.text, WORDS[lang].denied);
    await page.goto(`${on.app.url}/audit?result=refused`);
    assert.match(await page.locator('#entries > tr').first().innerText(), /vic/);
    // Only what vic may see is there at all.
    await page.goto(`${on.app.url}/services`);
    const names = await page.locator('#rows small.muted').allInnerTexts();
    assert.ok(names.length > 0 && !names.some((text) => /weather/.test(text)), names.join());
    const hidden = await page.goto(`${on.app.url}/services/weather/forecast`);
    assert.equal(hidden.status(), 404);
    await done(page);
  });
}

test('44. the auditor reads the history of everything and changes nothing; somebody without rights is told so', { skip, timeout: 60_000 }, async () => {
  const aud = await as('aud', '/audit');
  assert.ok(await aud.locator('#entries > tr').count() > 3);
  assert.match(await aud.locator('#entries').innerText(), /amy/);
  await aud.goto(on.app.url + REVIEWS);
  assert.ok(await aud.locator('#denied').isVisible());
  await done(aud);
  const nobody = await as('nobody', '/services');
  assert.match(await nobody.locator('main').innerText(), /You cannot see any namespace[\s\S]*Ask for a role/);
  await picture(nobody, 'real-nobody');
  await done(nobody);
});

test('45. a wrong token is told in one sentence, at the field; the way back is kept', { skip, timeout: 60_000 }, async () => {
  const page = await open(on.chromium, on.app.url, REVIEWS);
  await page.locator('#token').fill('no token at all');
  await page.locator('form button.pri').click();
  await page.locator('[role=alert]').waitFor();
  assert.equal(await page.locator('#token').getAttribute('aria-invalid'), 'true');
  assert.deepEqual(await axe(page), []);
  await picture(page, 'real-wrong-token');
  await signIn(page, on.real.tokens.amy);
  assert.equal(new URL(page.url()).pathname, REVIEWS);
  await done(page);
});

for (const lang of ['en', 'zh']) {
  test(`45. a session that ends while editing: the change is kept over signing in again (${lang})`, { skip, timeout: 90_000 }, async () => {
    const page = await as('amy', REVIEWS, { lang });
    await type(page, 'v2', 33);
    await page.locator('#why').fill('half a change');
    await checked(page);
    // The same person signs out in another tab.
    const other = await page.context().newPage();
    await other.goto(on.app.url + '/services');
    await other.locator('.who summary').click();
    await other.locator('form[action="/logout"] button').click();
    await other.waitForURL('**/login*');
    await other.close();
    await type(page, 'v2', 34);
    await page.waitForURL('**/login?*');
    assert.match(await page.locator('#ended').innerText(), lang === 'en' ? /Your session has ended\.[\s\S]*kept/ : /会话已结束/);
    await picture(page, `real-session-ended-${lang}`);
    assert.deepEqual(await axe(page), []);
    await signIn(page, on.real.tokens.amy);
    assert.equal(new URL(page.url()).pathname, REVIEWS);
    await checked(page);
    assert.equal(await number(page, 'v2').inputValue(), '34');
    assert.equal(await page.locator('#why').inputValue(), 'half a change');
    await done(page);
  });
}

test('45. a session that ends while nobody touches the page is announced by itself', { skip, timeout: 120_000 }, async () => {
  const page = await as('amy', REVIEWS);
  await page.waitForFunction(() => /Live/.test(document.getElementById('live').innerText));
  const other = await page.context().newPage();
  await other.goto(on.app.url + '/services');
  await other.locator('.who summary').click();
  await other.locator('form[action="/logout"] button').click();
  await other.waitForURL('**/login*');
  await page.waitForURL('**/login?*', { timeout: 60_000 });
  assert.match(await page.locator('#ended').innerText(), /Your session has ended/);
  await page.context().close();
});
