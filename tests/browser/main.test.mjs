// The main job from end to end, as a release manager does it: look, move 70 %, take over, go back, read the history.
// In both languages, and once without JavaScript.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { browser, open, picture, sluice, until } from './support.mjs';
import { apply, declared, given, history, number, REVIEWS, row, said, type } from './gestures.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const WORDS = {
  en: {
    sentence: '70% of requests move from v1 to v2.', apply: 'Apply: v1 30% · v2 70%', written: /^v1 30% · v2 70% written \(revision (\d+)\)\.$/,
    take: 'Take over all traffic with v2?', send: 'Take over all traffic with v2', back: /^Back to .+ \(revision (\d+)\)$/, goBack: /^Back to /, check: 'Check change',
    history: ['Switch back', 'Take over all traffic', 'Change traffic'], result: 'applied',
  },
  zh: {
    sentence: '70% 的请求将从 v1 转到 v2。', apply: '应用：v1 30% · v2 70%', written: /v1 30% · v2 70%.*修订 (\d+)/,
    take: /v2/, send: '由 v2 接管全部流量', back: /^切回 .+（修订 (\d+)）$/, goBack: /^切回 /, check: '检查变更',
    history: ['切回', '接管全部流量', '调整流量'], result: '已应用',
  },
};

async function start(lang, js) {
  await given(app.url, REVIEWS, { v1: 100, v2: 0, v3: 0 }).catch((error) => assert.match(error.message, /nothing_asked/));
  const entries = (await history(app.url, REVIEWS)).length;
  const page = await open(chromium, app.url, '/services', { lang, js });
  await page.locator('#rows a', { hasText: /^reviews$/ }).click();
  await page.waitForURL(`**${REVIEWS}`);
  return { page, entries };
}

async function audited(page, words, lang, entries) {
  await page.locator('.side a[href="/audit"]').click();
  await page.waitForURL('**/audit');
  // The demo's own releases go on meanwhile and have entries, too.
  await page.goto(`${page.url()}?service=bookinfo/reviews`);
  const rows = page.locator('#entries > tr');
  for (const [at, what] of words.history.entries()) {
    assert.match(await rows.nth(at).locator('td').nth(2).innerText(), new RegExp(`^${what}\\s+(bookinfo ?/ ?)?reviews`));
    assert.ok((await rows.nth(at).innerText()).includes(words.result));
  }
  assert.match(await rows.nth(2).innerText(), /CHG-1/);
  assert.match(await rows.nth(1).innerText(), /CHG-2/);
  await picture(page, `main-audit-${lang}`, { fullPage: true });
  const all = await history(app.url, REVIEWS);
  assert.equal(all.length, entries + 3);
  assert.deepEqual(await declared(app.url, REVIEWS), { v1: 30, v2: 70, v3: 0 });
}

for (const lang of ['en', 'zh']) {
  const words = WORDS[lang];
  test(`from the list to the history: 30/70, take over by dialog, switch back (${lang})`, { timeout: 60_000 }, async () => {
    const { page, entries } = await start(lang, true);
    await type(page, 'v2', 70);
    assert.equal(await said(page), words.sentence);
    assert.equal(await page.locator('#apply-btn').getAttribute('aria-disabled'), 'true', 'a big jump must be acknowledged');
    await picture(page, `main-pending-${lang}`, { fullPage: true });
    await apply(page, 'CHG-1');
    assert.match(await page.locator('#toasts .toast > span').innerText(), words.written);
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1', 'focus is on the page that says it');
    assert.deepEqual(await declared(app.url, REVIEWS), { v1: 30, v2: 70, v3: 0 });
    assert.equal(await number(page, 'v2').inputValue(), '70');
    await picture(page, `main-applied-${lang}`, { fullPage: true });

    await row(page, 'v2').locator('a[href*=takeover]').click();
    const dialog = page.locator('#dialog');
    await dialog.getByRole('heading', { name: words.take }).waitFor();
    assert.ok(await dialog.evaluate((at) => at.open && at.contains(document.activeElement)));
    await picture(page, `main-takeover-${lang}`);
    for (const box of await dialog.locator('input[name=ack]').all()) await box.check();
    await dialog.locator('textarea').fill('CHG-2');
    await dialog.getByRole('button', { name: words.send }).click();
    await page.locator('#toasts .toast').waitFor();
    await until(async () => (await declared(app.url, REVIEWS)).v2 === 100, 'v2 has all traffic');

    await page.locator('.head .acts a', { hasText: words.back }).click();
    await dialog.locator('h2').waitFor();
    await picture(page, `main-back-${lang}`);
    await dialog.getByRole('button', { name: words.goBack }).click();
    await until(async () => (await declared(app.url, REVIEWS)).v2 === 70, 'the split of before');
    await page.waitForFunction(() => document.querySelector('fieldset[data-version=v2] input[type=number]')?.value === '70');
    await audited(page, words, lang, entries);
    assert.deepEqual(page.troubles, []);
    await page.context().close();
  });
}

test('from the list to the history without JavaScript: check, apply, take over, switch back', { timeout: 60_000 }, async () => {
  const words = WORDS.en;
  const { page, entries } = await start('en', false);
  await number(page, 'v1').fill('30');
  await number(page, 'v2').fill('70');
  await page.getByRole('button', { name: words.check }).click();
  assert.equal((await page.locator('#preview .say').innerText()).split('\n')[0], words.sentence);
  for (const box of await page.locator('#preview input[name=ack]').all()) await box.check();
  await page.locator('#why').fill('CHG-1');
  await page.getByRole('button', { name: words.check }).click();
  await page.getByRole('button', { name: words.apply }).click();
  assert.match(await page.locator('#toasts .toast > span').innerText(), words.written);

  await row(page, 'v2').locator('a[href*=takeover]').click();
  assert.equal(await page.locator('h1').innerText(), words.take);
  await picture(page, 'main-takeover-page', { fullPage: true });
  for (const box of await page.locator('#act input[name=ack]').all()) await box.check();
  await page.locator('#act-why').fill('CHG-2');
  await page.getByRole('button', { name: words.send }).click({ force: true });
  assert.deepEqual(await declared(app.url, REVIEWS), { v1: 0, v2: 100, v3: 0 });

  await page.locator('.head .acts a', { hasText: words.back }).click();
  await page.getByRole('button', { name: words.goBack }).click();
  await audited(page, words, 'nojs', entries);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
