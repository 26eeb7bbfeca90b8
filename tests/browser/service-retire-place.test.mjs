// Where Retire stands in the row of a version, and what it asks while the version still answers.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { axe, browser, open, picture, sluice, until, visit, wide } from './support.mjs';
import { given, REVIEWS, row } from './gestures.mjs';

let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
}, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

/** The Retire button of each version: its edges against the row's, and how far below the line before it stands. */
const places = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.vrow[data-version]')].map((at) => {
  const of = (element) => element.getBoundingClientRect();
  const [row, button, before] = [of(at), of(at.querySelector('.vret .btn')), of(at.querySelector('.vsub:not(.vret)'))];
  return [at.dataset.version, { right: Math.round(row.right - button.right), below: Math.round(button.top - before.bottom) }];
})));

for (const lang of ['en', 'zh']) {
  for (const width of [390, 901, 1280, 1440]) {
    test(`Retire stands at one place of its row, whether it can be pressed or not (${lang}, ${width} px)`, { timeout: 60_000 }, () => on(REVIEWS, async (page) => {
      const seen = [];
      for (const weights of [{ v1: 80, v2: 20, v3: 0 }, { v1: 0, v2: 100, v3: 0 }]) {
        await given(app.url, REVIEWS, weights);
        await page.reload();
        await until(async () => (await page.locator('.vret .btn').count()) === 3, 'every version has the button');
        seen.push(...Object.values(await places(page)));
        assert.equal(await wide(page), false);
      }
      for (const one of seen) assert.deepEqual(one, seen[0], JSON.stringify(seen));
      await picture(page, `retire-place-${lang}-${width}`, { fullPage: true });
    }, { lang, width }));
  }

  for (const width of [901, 1000, 1100]) {
    test(`the bars have the width of their card where that is narrow (${lang}, ${width} px)`, { timeout: 60_000 }, () => on(REVIEWS, async (page) => {
      const found = await page.evaluate(() => [...document.querySelectorAll('.svc .bars .bar')].map((bar) => {
        const list = bar.closest('.bars').getBoundingClientRect().width;
        return { share: bar.getBoundingClientRect().width / list, list, cut: bar.scrollWidth > bar.clientWidth + 1 };
      }));
      assert.ok(found.length >= 3, JSON.stringify(found));
      for (const one of found) {
        assert.ok(one.list > 420 ? one.share > 0.4 : one.share > 0.95, JSON.stringify(found));
        assert.equal(one.cut, false, JSON.stringify(found));
      }
      const out = await page.evaluate(() => [...document.querySelectorAll('.vctl')].flatMap((at) => [...at.children].filter((one) => one.getBoundingClientRect().right > at.getBoundingClientRect().right + 1).map((one) => one.className)));
      assert.deepEqual(out, [], 'slider, number and lock stand inside the card');
      assert.equal(await wide(page), false);
    }, { lang, width }));
  }

  test(`a version that answered within the last minute is retired once that is accepted (${lang})`, { timeout: 90_000 }, () => on(REVIEWS, async (page) => {
    for (const weights of [{ v1: 80, v2: 20, v3: 0 }, { v1: 0, v2: 100, v3: 0 }]) await given(app.url, REVIEWS, weights);
    await until(async () => { await page.reload(); return await row(page, 'v1').locator('a#retire-v1').count() === 1 && /%/.test(await row(page, 'v1').locator('.vret').innerText()); }, 'the row says that it still answers', 60_000);
    await row(page, 'v1').locator('a#retire-v1').click();
    const dialog = page.locator('#dialog[open]');
    await dialog.locator('input[type=checkbox][value=still_answers]').waitFor();
    assert.deepEqual(await axe(page), []);
    await picture(page, `retire-accept-${lang}`);
  }, { lang, width: 1280 }));
}
