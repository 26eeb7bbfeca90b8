// The pending change: checks 9 to 15 of the browser list, and 16. The messages before anything is written.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, picture, sluice, until, visit } from './support.mjs';
import { acceptAll, checked, declared, given, history, number, preset, RATINGS, REVIEWS, said, shift, slider, type } from './gestures.mjs';

const CATALOG = '/services/shop/catalog';
let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

const codes = (page) => page.locator('#preview .checks li').evaluateAll((all) => all.map((li) => li.dataset.code));
const disabled = async (page) => (await page.locator('#apply-btn').getAttribute('aria-disabled')) === 'true';

for (const [lang, sentence] of [['en', '70% of requests move from v1 to v2.'], ['zh', '70% 的请求将从 v1 转到 v2。']]) {
  test(`9. 100/0 → 30/70 shows exactly "${sentence}"`, { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
    await type(page, 'v2', 70);
    assert.equal(await said(page), sentence);
    assert.equal(await page.locator('#apply-btn').innerText(), lang === 'en' ? 'Apply: v1 30% · v2 70%' : '应用：v1 30% · v2 70%');
    assert.match(await page.locator('#t-next [role=img]').getAttribute('aria-label'), /v1 30%.*v2 70%/);
    const size = await page.locator('#preview .say .muted').innerText();
    assert.match(size, lang === 'en' ? /^About [\d.]+ of [\d.]+ requests per second, in one step\.$/ : /^约每秒 [\d.]+ 个请求（共 [\d.]+ 个），一步完成。$/);
    await picture(page, `pending-${lang}`);
  }, { lang }));
}

test('10. a three-way change names all versions and signs; no change says "Nothing changes." and cannot be applied', { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
  await type(page, 'v2', 20);
  await checked(page);
  await type(page, 'v3', 30);
  assert.equal(await said(page), '44% of requests move: v1 −44, v2 +14, v3 +30.');
  await preset(page, 'v1', 100).click();
  assert.equal(await said(page), 'Nothing changes.');
  assert.ok(await disabled(page));
  assert.equal(await page.locator('#t-next [role=img]').count(), 0);
  await page.locator('#why').fill('press it all the same');
  await page.locator('#apply-btn').click({ force: true });
  await page.waitForTimeout(300);
  assert.equal((await history(app.url, REVIEWS)).length, 0, 'nothing was asked of the server');
}));

test('11. a jump above the limit is refused until it is acknowledged, by the page and by the API', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  await type(page, 'v2', 80);
  await checked(page);
  assert.ok((await codes(page)).includes('big_jump'));
  assert.match(await page.locator('[data-code=big_jump]').innerText(), /v2 goes from 10% to 80%\. The limit for one step here is 25 points\./);
  assert.ok(await disabled(page));
  await page.locator('#why').fill('too much at once');
  await page.locator('#apply-btn').click({ force: true });
  await acceptAll(page);
  assert.ok(!await disabled(page));
  await page.locator('#ack-big_jump').uncheck();
  await checked(page);
  assert.ok(await disabled(page), 'taken back');
  const refused = await shift(app.url, RATINGS, { v1: 20, v2: 80 }, { ack: [] });
  assert.equal(refused.status, 422);
  assert.ok(refused.body.checks.some((one) => one.code === 'big_jump' && one.severity === 'acknowledge'), JSON.stringify(refused.body));
  const small = await shift(app.url, RATINGS, { v1: 80, v2: 20 }, { ack: [] });
  assert.equal(small.status, 200, 'within the limit nothing has to be acknowledged');
}));

for (const lang of ['en', 'zh']) {
  test(`12. an empty reason: 422, message at the field, focus moves there, numbers kept (${lang})`, { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
    await type(page, 'v2', 15);
    await acceptAll(page);
    // The browser's own hint would stop it before the server is asked.
    await page.locator('#why').evaluate((field) => { field.required = false; });
    const answer = page.waitForResponse((one) => one.url().endsWith('/traffic/apply'));
    await page.locator('#apply-btn').click();
    assert.equal((await answer).status(), 422);
    await page.locator('#why-error').waitFor();
    assert.match(await page.locator('#why-error').innerText(), lang === 'en' ? /^A reason is required/ : /原因/);
    assert.equal(await page.locator('#why').getAttribute('aria-invalid'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'why');
    assert.equal(await number(page, 'v2').inputValue(), '15');
    assert.equal(await number(page, 'v1').inputValue(), '85');
  }, { lang }));
}

test('13. typing a reason while sliders move: no character is lost over 20 previews', { timeout: 60_000 }, () => on(REVIEWS, async (page) => {
  let previews = 0;
  page.on('response', (one) => { if (one.url().endsWith('/traffic/preview')) previews++; });
  const text = 'CHG-4711: v2 gets more because the error rate of v1 is above 2%, 因为 v1 出错 ✓ agreed with on-call.';
  const parts = [...text];
  await page.locator('#why').focus();
  for (let at = 0; at < parts.length; at++) {
    await page.keyboard.insertText(parts[at]);
    if (at % 4 === 0) {
      // As a second hand on the slider would: the focus stays in the field.
      await page.evaluate((value) => {
        const range = document.querySelector('fieldset[data-version=v2] input[type=range]');
        range.value = value;
        range.dispatchEvent(new Event('input', { bubbles: true }));
      }, 1 + at % 24);
      const seen = previews;
      await until(() => previews > seen, 'a preview');
    }
  }
  await checked(page);
  assert.ok(previews >= 20, `${previews} previews`);
  assert.equal(await page.locator('#why').inputValue(), text);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'why');
}));

test('14. Apply is disabled while a preview is running; weights that differ from the preview are refused', { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
  await type(page, 'v2', 10);
  await checked(page);
  assert.ok(!await disabled(page));
  let release;
  const held = new Promise((done) => { release = done; });
  await page.route('**/traffic/preview', async (route) => { await held; await route.continue(); });
  await slider(page, 'v2').press('ArrowRight');
  assert.ok(await disabled(page));
  assert.ok(await page.locator('#pending .busy').isVisible());
  await page.locator('#why').fill('faster than the check');
  await page.locator('#apply-btn').click({ force: true });
  release();
  await checked(page);
  assert.ok(!await disabled(page));
  assert.equal((await history(app.url, REVIEWS)).filter((one) => one.result === 'applied').length, 0);
  // A script that changes a number behind the preview's back.
  await page.evaluate(() => {
    for (const [name, value] of [['v1', 76], ['v2', 24]]) document.querySelector(`fieldset[data-version=${name}] input[type=number]`).value = value;
  });
  const answer = page.waitForResponse((one) => one.url().endsWith('/traffic/apply'));
  await page.locator('#apply-btn').click();
  assert.equal((await answer).status(), 409);
  await page.locator('main [role=alert]').first().waitFor();
  assert.deepEqual(await declared(app.url, REVIEWS), { v1: 100, v2: 0, v3: 0 });
  assert.equal(await number(page, 'v2').inputValue(), '24', 'the numbers are kept');
}));

test('15. the diff shows only lines that will change; rules, timeouts, retries and unknown fields survive', { timeout: 30_000 }, () => on(CATALOG, async (page) => {
  await type(page, 'v2', 25);
  await checked(page);
  const details = page.locator('#preview details').first();
  await details.locator('summary').click();
  const lines = await details.locator('.diff > *').evaluateAll((all) => all.map((at) => [at.tagName, at.textContent.trim()]));
  assert.deepEqual(lines.filter(([tag]) => tag === 'DEL').map(([, text]) => text), ['weight: 95', 'weight: 5']);
  const added = lines.filter(([tag]) => tag === 'INS').map(([, text]) => text);
  // Besides the weights only the mark of who wrote it.
  assert.deepEqual(added, ['weight: 75', 'weight: 25']);
  assert.ok(lines.length <= 24, 'a few lines around them, not the whole object');
  await picture(page, 'diff');
  const rules = async () => JSON.stringify((await api(app.url, 'GET', `/api/v1${CATALOG}`)).body.rules);
  const before_ = await rules();
  await given(app.url, CATALOG, { v1: 75, v2: 25 });
  const entry = (await history(app.url, CATALOG))[0];
  const full = (await api(app.url, 'GET', `/api/v1/audit/${entry.id}`)).body;
  const text = JSON.stringify(full);
  for (const kept of ['perTryTimeout', 'corsPolicy', 'x-served-by', 'beta=1']) assert.ok(text.includes(kept), `${kept} in the object that was written`);
  assert.equal(await rules(), before_);
}));

test('16. a double click or a replayed request applies once', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  await given(app.url, RATINGS, { v1: 80, v2: 20 }, { weights: { v1: 80, v2: 20 } }).catch(() => {});
  await page.reload();
  const earlier = (await history(app.url, RATINGS)).length;
  await type(page, 'v2', 30);
  await acceptAll(page);
  await page.locator('#why').fill('pressed twice');
  let sent;
  page.on('request', (one) => { if (one.url().endsWith('/traffic/apply')) sent = one.postData(); });
  await page.locator('#apply-btn').dblclick();
  await page.locator('#toasts .toast').waitFor();
  assert.equal((await history(app.url, RATINGS)).length, earlier + 1);
  const again = await page.evaluate(async ([at, body]) => {
    const answer = await fetch(at, { method: 'POST', body: new URLSearchParams(body), headers: { Accept: 'text/html' } });
    return { status: answer.status, url: answer.url };
  }, [`${RATINGS}/traffic/apply`, sent]);
  assert.equal(again.status, 200);
  assert.match(again.url, /applied=\d+/, 'the same answer as the first time');
  assert.equal((await history(app.url, RATINGS)).length, earlier + 1);
}));
