// The page of a service and the history from the chair of a release manager: what was typed stays, what is asked begins
// with its title, and a moment has one age.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, picture, sluice, until, visit } from './support.mjs';
import { begin, inPhase, tell, weight } from './releasing.mjs';
import { checked, RATINGS, REVIEWS, slider, type } from './gestures.mjs';

let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
}, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

const inView = (place) => place.evaluate((el) => {
  const box = el.getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight && box.height > 0;
});
const text = (page, selector) => page.locator(selector).first().innerText();

test('a typed reason survives a reload and the way back, is not in the address, and goes when the change is discarded or applied', { timeout: 60_000 }, () => on(RATINGS, async (page) => {
  const why = page.locator('#why');
  await type(page, 'v1', 80);
  await checked(page);
  await why.fill('CHG-77 try v2');
  await page.reload();
  assert.equal(await why.inputValue(), 'CHG-77 try v2');
  assert.doesNotMatch(page.url(), /CHG/);
  await page.goto(`${app.url}/services`);
  await page.goto(`${app.url}${REVIEWS}`);
  assert.equal(await why.inputValue(), '', 'another service has its own');
  await page.goto(`${app.url}${RATINGS}`);
  assert.equal(await why.inputValue(), 'CHG-77 try v2');
  await page.locator('#apply [data-discard]').click();
  await until(async () => await why.inputValue() === '', 'discarded');
  await page.reload();
  assert.equal(await why.inputValue(), '');
  await type(page, 'v1', 80);
  await checked(page);
  await why.fill('CHG-78 try v2');
  await checked(page);
  for (const box of await page.locator('#preview [name=ack]').all()) { await box.check(); await checked(page); }
  await page.locator('#apply-btn').click();
  await page.waitForURL(/applied=/);
  assert.equal(await why.inputValue(), '', 'it is in the history now');
  await page.reload();
  assert.equal(await why.inputValue(), '');
  // The change that was just made has one age, in the head and in the history.
  const ages = async () => [await text(page, '#svc-facts time'), await text(page, '[aria-labelledby="h-history"] tbody time')];
  const [head, row] = await ages();
  assert.equal(head, row);
}));

for (const lang of ['en', 'zh']) {
  test(`Ctrl+Enter without a reason leads to the reason (${lang})`, { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
    await slider(page, 'v1').focus();
    await page.keyboard.press('ArrowLeft');
    await checked(page);
    await slider(page, 'v1').press('Control+Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'why');
    await until(async () => (await page.locator('#announcer').textContent()).length > 0, 'it is said');
  }, { lang }));

  test(`at 200 % zoom a question begins with its title (${lang})`, { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
    await page.locator('#take-v2 a').click();
    const title = page.locator('#dialog h2');
    await title.waitFor();
    assert.ok(await inView(title), 'the title is in view');
    assert.ok(await page.evaluate(() => document.getElementById('dialog').contains(document.activeElement)));
    await picture(page, `take-over-zoomed-${lang}`);
  }, { lang, width: 640, height: 450 }));

  for (const width of [1280, 390]) {
    test(`the hint of the weights begins where its heading begins, also on a line of its own, at ${width} px (${lang})`, { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
      const [heading, hint] = await page.locator('#weights > header').evaluate((el) => [el.firstElementChild, el.querySelector('.js')].map((one) => { const box = one.getBoundingClientRect(); return { left: box.left, top: box.top, bottom: box.bottom }; }));
      if (hint.top >= heading.bottom) assert.equal(Math.round(hint.left), Math.round(heading.left));
      await picture(page, `weights-head-${width}-${lang}`);
    }, { lang, width }));

    test(`the address of an entry of the history leads to the entry at ${width} px (${lang})`, { timeout: 60_000 }, async () => {
      for (let n = 0; n < 30; n++) await api(app.url, 'POST', '/api/v1/services/shop/gift-cards/traffic', {}, {});
      const { body } = await api(app.url, 'GET', '/api/v1/audit?limit=100');
      const last = body.items.at(-1).id;
      await on(`/audit/${last}?show=all`, async (page) => {
        const link = page.locator('#entries tr.open [data-detail]');
        assert.ok(await inView(link), 'it is in view');
        assert.equal(await page.evaluate(() => document.activeElement.closest('tr')?.id), `e${last}`);
        await picture(page, `audit-entry-${width}-${lang}`);
      }, { lang, width, height: 800 });
    });
  }
}

for (const [lang, words] of [['en', [/Aborted/, /Switched back/]], ['zh', [/已中止/, /已切回/]]]) {
  test(`the history of a service has each release once, besides what changed its traffic; an abort is called an abort (${lang})`, { timeout: 60_000 }, async () => {
    const id = await begin(app.url, { steps: [weight(20), { kind: 'approval' }, weight(100)], policies: { accept: ['no_metrics'] } });
    await inPhase(app.url, id, 'paused');
    await tell(app.url, id, 'abort');
    await inPhase(app.url, id, 'rolled_back');
    await on(REVIEWS, async (page) => {
      const rows = await page.locator('[aria-labelledby="h-history"] tbody tr').evaluateAll((all, release) => all.filter((row) => row.querySelector(`a[href="/releases/${release}"]`)).map((row) => ({ text: row.innerText, revision: row.querySelector('[data-l="Rev."], [data-l]:nth-last-of-type(2)')?.innerText })), id);
      const without = rows.filter((row) => /\t–\t|–\s*$/.test(row.text));
      assert.ok(rows.length <= 3, JSON.stringify(rows));
      assert.equal(without.length, 1, JSON.stringify(rows));
      assert.match(without[0].text, words[0]);
      assert.doesNotMatch(without[0].text, words[1]);
      await picture(page, `service-history-${lang}`, { fullPage: true });
    }, { lang });
  });
}

test('what no rule takes is spread by pods where there are no weights, and the version with most pods has the first colour', { timeout: 30_000 }, async () => {
  await on('/services/shop/search', async (page) => {
    assert.match(await page.locator('#rules').innerText(), /Everything else\s+spread by pods/);
    assert.match(await page.locator('fieldset[data-version=stable]').getAttribute('class'), /\bv1\b/);
    assert.match(await page.locator('fieldset[data-version=canary]').getAttribute('class'), /\bv2\b/);
  });
  await on(REVIEWS, async (page) => assert.match(await page.locator('#rules').innerText(), /Everything else\s+Weights/));
});
