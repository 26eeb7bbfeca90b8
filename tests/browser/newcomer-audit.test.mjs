// The audit history and the first minutes of the demo, from the chair of somebody who has never seen them.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { axe, browser, picture, sluice, until, visit, wide } from './support.mjs';
import { declared, given, REVIEWS, said, shift, type } from './gestures.mjs';

let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
  await given(app.url, REVIEWS, { v1: 30, v2: 70, v3: 0 });
}, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

for (const lang of ['en', 'zh']) {
  test(`routine events of releases are left out, the page says so, and shows them folded when asked (${lang})`, { timeout: 60_000 }, () => on('/audit', async (page) => {
    assert.match(await page.locator('#results').innerText(), lang === 'en' ? /Routine events of releases are left out/ : /已隐藏发布任务的常规事件/);
    assert.match(await page.locator('#ah option:checked').innerText(), lang === 'en' ? /^Human and traffic changes only$/ : /^仅人工操作与流量变更$/);
    await page.locator('#ah').selectOption('all');
    await page.waitForURL('**/audit?show=all');
    const fold = page.locator('[data-fold]').first();
    await until(async () => { await page.reload(); return await fold.count() === 1; }, 'the releases of the demo have routine events', 30_000);
    const inside = page.locator('tr.folded[data-in="1"]');
    assert.ok(await inside.count() > 1 && !await inside.first().isVisible());
    await fold.click();
    assert.equal(await fold.getAttribute('aria-expanded'), 'true');
    assert.ok(await inside.first().isVisible());
    assert.deepEqual(await axe(page), []);
    await picture(page, `audit-all-${lang}`, { fullPage: true });
  }, { lang }));

  test(`a card says what was in force at a moment, with a link that shows the same (${lang})`, { timeout: 30_000 }, () => on('/audit?service=bookinfo/reviews', async (page) => {
    await page.locator('.head a.btn').click();
    await page.waitForURL('**/audit/as-of?service=bookinfo*');
    assert.equal(await page.locator('#os').inputValue(), 'bookinfo/reviews');
    const card = page.locator('.as-of');
    await card.waitFor();
    assert.match(await card.innerText(), lang === 'en' ? /v1 30% · v2 70%[\s\S]*Revision\s+\d+[\s\S]*In effect since[\s\S]*demo/ : /v1 30% · v2 70%[\s\S]*修订\s+\d+[\s\S]*生效时间[\s\S]*demo/);
    await page.goto(app.url + await card.locator('[data-copy]').getAttribute('data-copy'));
    await card.waitFor();
    await page.locator('#od').fill('2020-01-01');
    await page.locator('form.fit button').click();
    await page.waitForURL('**date=2020-01-01*');
    assert.match(await card.innerText(), lang === 'en' ? /before the first recorded change/ : /首次记录的变更之前/);
    assert.deepEqual(await axe(page), []);
    await picture(page, `as-of-${lang}`, { fullPage: true });
  }, { lang }));

  for (const width of [1280, 1440, 1920, 390]) {
    test(`audit history at ${width} px: nothing is cut off, fields of a line stand in line, Clear has company (${lang})`, { timeout: 30_000 }, () => on('/audit?service=bookinfo/reviews', async (page) => {
      assert.equal(await wide(page), false, 'no sideways scrolling');
      const boxes = await page.locator('form.fit .fld :is(input, select)').evaluateAll((all) => all.map((at) => { const box = at.getBoundingClientRect(); return { top: Math.round(box.top * 2) / 2, height: box.height, right: box.right, left: box.left }; }));
      for (const one of boxes) for (const other of boxes) {
        if (Math.abs(one.top - other.top) < 12) assert.deepEqual([one.top, one.height], [other.top, other.height], JSON.stringify(boxes));
      }
      if (width === 390) {
        const right = boxes.filter((box) => box.left > 150).map((box) => Math.round(box.right));
        assert.equal(new Set(right).size, 1, `one right edge: ${right}`);
      }
      const clear = await page.locator('form.fit a.btn').boundingBox();
      const fields = boxes.map((box) => box.top);
      assert.ok(fields.some((top) => Math.abs(top - clear.y) < 12), 'a field on the line of Clear');
      const [shown, whole] = await page.locator('#aq').evaluate((at) => {
        const canvas = document.createElement('canvas').getContext('2d');
        canvas.font = getComputedStyle(at).font;
        return [at.clientWidth - 22, canvas.measureText(at.placeholder).width];
      });
      assert.ok(whole <= shown, `the placeholder fits: ${whole} in ${shown}`);
      await picture(page, `audit-${width}-${lang}`, { fullPage: true });
    }, { lang, width }));
  }

  test(`the demo says what to try first, and the card stays closed once it was closed (${lang})`, { timeout: 30_000 }, () => on('/services', async (page) => {
    const guide = page.locator('.guide');
    assert.equal(await guide.locator('li a').count(), 3);
    assert.match(await guide.innerText(), lang === 'en' ? /30\/70[\s\S]*kubectl/ : /30\/70[\s\S]*kubectl/);
    assert.equal(await wide(page), false);
    for (const link of await guide.locator('li a').evaluateAll((all) => all.map((at) => at.href))) {
      assert.equal((await fetch(link)).status, 200, link);
    }
    await picture(page, `guide-${lang}`);
    await guide.locator('header a').click();
    await page.waitForURL('**/services');
    assert.equal(await guide.count(), 0);
    await page.goto(`${app.url}/services`);
    assert.equal(await guide.count(), 0);
  }, { lang, width: lang === 'en' ? 1280 : 390 }));
}

test('the slash goes to the box that shows it; Enter in a filter opens the first match, the arrow goes to the rows', { timeout: 60_000 }, () => on('/audit', async (page) => {
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'find');
  await page.keyboard.type('forecast');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/services?q=forecast');
  await page.goto(`${app.url}/services`);
  await page.locator('#q').focus();
  await page.keyboard.press('ArrowDown');
  assert.ok(await page.evaluate(() => document.activeElement.matches('#rows > tr:first-child td:first-child a')));
  await page.keyboard.press('ArrowDown');
  assert.ok(await page.evaluate(() => document.activeElement.matches('#rows > tr:nth-child(2) td:first-child a')));
  await page.locator('#q').focus();
  await page.keyboard.type('forecast');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/services/weather/forecast');
  await page.goto(`${app.url}/audit`);
  await page.locator('#aq').focus();
  await page.keyboard.type('reviews');
  await page.keyboard.press('Enter');
  await page.locator('tr.detail').waitFor();
}));

test('Ctrl+Enter on a change that cannot be applied says why and goes to the warning', { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
  await type(page, 'v2', 0);
  await said(page);
  assert.equal(await page.locator('#apply-btn').getAttribute('aria-disabled'), 'true');
  const why = await page.locator('#apply-why').innerText();
  await page.locator('#why').focus();
  await page.keyboard.press('Control+Enter');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'ack');
  await until(async () => await page.locator('#announcer').innerText() === why, 'it is announced');
}));

test('30/70 from the list takes at most seven actions', { timeout: 60_000 }, async () => {
  await shift(app.url, REVIEWS, { v1: 100, v2: 0, v3: 0 }, { reason: 'before' });
  await on('/services', async (page) => {
    let actions = 0;
    const act = async (what) => { actions += 1; await what; };
    await act(page.locator('.guide li a').first().click());
    await page.waitForURL(`**${REVIEWS}`);
    await act(page.locator('fieldset[data-version=v2] input[type=number]').fill('70'));
    await page.keyboard.press('Tab');
    await said(page);
    for (const box of await page.locator('#preview input[name=ack]').all()) if (!await box.isChecked()) await act(box.check());
    await act(page.locator('#why').fill('30/70'));
    await until(async () => await page.locator('#apply-btn').getAttribute('aria-disabled') === null, 'it can be applied');
    await act(page.locator('#apply-btn').click());
    await page.locator('#toasts .toast').waitFor();
    assert.deepEqual(await declared(app.url, REVIEWS), { v1: 30, v2: 70, v3: 0 });
    assert.ok(actions <= 7, `${actions} actions`);
  });
});
