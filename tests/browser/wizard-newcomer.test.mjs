// The wizard as somebody meets it who has never seen it: what a template sets, which field an error is about, what has to be
// accepted, and that nothing is cut off or lies over something else.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, until } from './support.mjs';
import { given } from './gestures.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const NEW = '/releases/new?service=bookinfo/reviews';
const VIEWS = [['en', 1280], ['zh', 1280], ['en', 390], ['zh', 390]];
const STRATEGIES = ['canary', 'replicas', 'blue_green', 'mirror', 'ab_test'];

async function on(at, run, options = {}) {
  const page = await open(chromium, app.url, at, { height: 900, ...options });
  try {
    await run(page);
    assert.deepEqual(page.troubles, []);
  } finally { await page.context().close(); }
}

/** Waits until nothing is being sent and nothing waits to be sent. */
const quiet = (page) => page.waitForFunction(() => !sluice.sending && asking.size === 0, null, { timeout: 20_000 });
const drafts = async () => (await api(app.url, 'GET', '/api/v1/releases/drafts')).body.items;
const red = (page) => page.locator('main [aria-invalid=true]:visible').evaluateAll((all) => all.map((el) => el.id));

for (const [lang, width] of VIEWS) {
  test(`a template says all that it sets and what it changed, and can be taken back (${lang}, ${width})`, { timeout: 90_000 }, () => on(NEW, async (page) => {
    assert.match(await page.locator('#template-hint').innerText(), lang === 'zh' ? /步骤、分析/ : /steps, the analysis/);
    const values = () => page.evaluate(() => ['interval', 'window', 'failures', 'on_failure', 'template'].map((id) => document.getElementById(id).value));
    const first = await values();
    const rows = () => page.locator('.steps tbody input[id$=-percent]').count();
    await page.locator('#template').selectOption('quick');
    await quiet(page);
    assert.equal(await page.locator('#template-said').count(), 0);
    assert.deepEqual((await values()).slice(0, -1), first.slice(0, -1), 'to pick a template changes nothing');
    assert.equal(await rows(), 6);
    await page.locator('#use-template').click();
    await page.locator('#template-said').waitFor();
    await quiet(page);
    const said = await page.locator('#template-said').innerText();
    for (const change of [/1%.*5%.*10%.* → 10%.*50%.*100%/, /60 \S+ → 15/, /5 \S+ → 1 /, /3 → 2/, lang === 'zh' ? /暂停 → 中止并切回 v1/ : /pause → abort, back to v1/]) assert.match(said, change);
    assert.deepEqual(await drafts(), [], 'a choice is no draft');
    await picture(page, `wizard-template-${lang}-${width}`, { fullPage: true });
    assert.deepEqual(await axe(page), []);
    // What is typed elsewhere stays.
    await page.locator('#reason').fill('REV-9');
    await quiet(page);
    await page.locator('#undo-template').click();
    await page.waitForFunction(() => !document.getElementById('template-said'));
    await quiet(page);
    assert.deepEqual(await values(), first);
    assert.equal(await page.locator('#reason').inputValue(), 'REV-9');
    assert.equal(await page.locator('.steps tbody input[id$=-percent]').count(), 6);
    for (const one of await drafts()) await api(app.url, 'DELETE', `/api/v1/releases/drafts/${one.id}`);
  }, { lang, width }));
}

for (const lang of ['en', 'zh']) {
  test(`an error is painted at the field that it is about, while typing and after loading (${lang})`, { timeout: 90_000 }, () => on(NEW, async (page) => {
    for (const [fill, wrong, slot, words] of [
      [async () => { await page.locator('#s-1-hold').fill('15'); await page.locator('#s-1-unit').selectOption('s'); }, ['s-1-hold'], '#err-row-1', /60/],
      [async () => { await page.locator('#s-1-percent').fill('1'); }, ['s-1-percent'], '#err-row-1', /1/],
      [async () => { await page.locator('#interval').fill('2'); }, ['interval'], '#err-analysis', /2/],
      [async () => { await page.locator('#freeze').fill('never'); }, ['freeze'], '#err-policies', /never/],
      [async () => { await page.locator('#stable_after').fill('5000'); }, ['stable_after'], '#err-policies', /5000/],
      [async () => { await page.locator('#s-2-kind').selectOption('wait'); await page.locator('#s-2-passes').fill('500'); }, ['s-2-passes'], '#err-row-2', /500/],
    ]) {
      await page.goto(app.url + NEW);
      await fill();
      await page.locator(slot).waitFor();
      await quiet(page);
      assert.deepEqual(await red(page), wrong);
      assert.match(await page.locator(slot).innerText(), words);
      await page.waitForURL(/drafts/);
      await page.reload();
      assert.deepEqual(await red(page), wrong, 'the same from the server');
      for (const one of await drafts()) await api(app.url, 'DELETE', `/api/v1/releases/drafts/${one.id}`);
    }
  }, { lang, width: 1280 }));
}

for (const [lang, width] of VIEWS) {
  test(`in every strategy no column is cut off, no field lies over another, and every choice fits its select (${lang}, ${width})`, { timeout: 120_000 }, async () => {
    for (const strategy of STRATEGIES) {
      await on(`${NEW}&strategy=${strategy}`, async (page) => {
        const found = await page.evaluate((wide) => {
          const out = [];
          if (document.documentElement.scrollWidth > innerWidth) out.push('sideways scrolling');
          for (const el of document.querySelectorAll('main .scroll')) if (wide && el.scrollWidth > el.clientWidth + 1) out.push(`${el.firstElementChild.className}: ${el.scrollWidth} > ${el.clientWidth}`);
          const fields = [...document.querySelectorAll('main :is(input:not([type=hidden], [type=radio], [type=checkbox]), select, textarea)')].filter((el) => el.offsetParent);
          fields.forEach((one, at) => {
            const a = one.getBoundingClientRect();
            for (const other of fields.slice(at + 1)) {
              const b = other.getBoundingClientRect();
              if (a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5) out.push(`${one.id} lies over ${other.id}`);
            }
          });
          const pen = document.createElement('canvas').getContext('2d');
          for (const select of fields.filter((el) => wide && el.matches('#w6 select, #w5 select, .steps select'))) {
            const style = getComputedStyle(select);
            pen.font = style.font;
            // The arrow takes a part of it.
            const inner = select.clientWidth - 16 - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
            for (const option of select.options) {
              const need = pen.measureText(option.text).width;
              if (need > inner + 1) out.push(`${select.id}: "${option.text}" needs ${Math.round(need)} of ${Math.round(inner)}`);
            }
          }
          return out;
        }, width >= 1280);
        assert.deepEqual(found, [], strategy);
        await picture(page, `wizard-whole-${strategy}-${lang}-${width}`, { fullPage: true });
      }, { lang, width });
    }
  });
}

for (const lang of ['en', 'zh']) {
  test(`what GitOps owns is asked about before the new version has a name, and a refused start keeps no draft of choices (${lang})`, { timeout: 60_000 }, () => on('/releases/new?service=shop/cart', async (page) => {
    const box = page.locator('#accept-gitops');
    await box.waitFor();
    assert.equal(await box.count(), 1, 'one box for both objects');
    const text = await page.locator('#accepts .note').first().innerText();
    assert.match(text, /Argo CD/);
    assert.match(text, /\S\n\S/, 'the name of the check is a line of its own');
    await page.locator('#start-btn').click();
    await page.locator('#err-version').waitFor();
    assert.equal(await page.locator('#accept-gitops').isVisible(), true);
    assert.deepEqual(await drafts(), []);
    await picture(page, `wizard-gitops-${lang}`, { fullPage: true });
  }, { lang, width: 1280 }));

  test(`a service that this release cannot move is not called ready beside that (${lang})`, { timeout: 60_000 }, async () => {
    await given(app.url, '/services/bookinfo/reviews', { v1: 90, v2: 10, v3: 0 });
    await on(`${NEW}&version=v3`, async (page) => {
      await page.locator('#err-service').waitFor();
      assert.equal(await page.locator('#w2 .note.ok').count(), 0);
      assert.match(await page.locator('#wiz-facts').innerText(), /v2 10%/);
      // With the version that has the traffic it can.
      await page.locator('#adopt').selectOption('v2');
      await page.waitForFunction(() => document.getElementById('err-service').hidden);
      assert.equal(await page.locator('#w2 .note.ok').count(), 1);
    }, { lang, width: 1280 });
    await given(app.url, '/services/bookinfo/reviews', { v1: 100, v2: 0, v3: 0 });
  });

  test(`a window that is advised is one that can be chosen (${lang})`, { timeout: 60_000 }, () => on('/releases/new?service=shop/cart&version=v2', async (page) => {
    const said = async () => page.locator('#plan .checks').innerText();
    await until(async () => (await said()).includes(lang === 'zh' ? '统计窗口' : 'Use the window of'), 'the rate is known');
    const advised = (await said()).match(lang === 'zh' ? /请使用 (.+?) ?的统计窗口/ : /Use the window of (.+?),/)[1];
    assert.ok((await page.locator('#window option').allInnerTexts()).includes(advised), advised);
  }, { lang, width: 1280 }));

  test(`the plan says when no step holds and when the analysis never looks, and never "0 s" (${lang})`, { timeout: 60_000 }, () => on(`${NEW}&version=v2`, async (page) => {
    const plan = () => page.locator('#plan').innerText();
    assert.match(await plan(), lang === 'zh' ? /最后一步没有观察时间/ : /The last step has no hold/);
    for (const hold of await page.locator('.steps input[id$=-hold]').all()) { await hold.fill('0'); }
    await until(async () => (lang === 'zh' ? /没有观察步骤：分析不会评估它/ : /the analysis never measures it/).test(await plan()), 'it is said');
    assert.match(await plan(), lang === 'zh' ? /没有观察步骤/ : /no step holds/);
    assert.ok(!/\b0 (s|秒)/.test(await plan()) && !/\b0 (s|秒)/.test(await page.locator('#wiz-start').innerText()));
    for (const one of await drafts()) await api(app.url, 'DELETE', `/api/v1/releases/drafts/${one.id}`);
  }, { lang, width: 1280 }));

  test(`old and new version have the same names on the service, in the wizard and in its plan (${lang})`, { timeout: 60_000 }, async () => {
    const [old, fresh] = lang === 'zh' ? ['旧版本', '新版本'] : ['old version', 'new version'];
    await on('/services/bookinfo/reviews', async (page) => {
      const chips = (await page.locator('.vtop .chip').allInnerTexts()).map((text) => text.toLowerCase());
      assert.ok(chips.includes(old) && chips.includes(fresh), chips.join());
    }, { lang, width: 1280 });
    // Alone, it is neither.
    await on('/services/weather/forecast', async (page) => {
      assert.ok(!(await page.locator('.vtop').allInnerTexts()).join().toLowerCase().includes(old));
    }, { lang, width: 1280 });
    await on(NEW, async (page) => {
      assert.ok((await page.locator('label[for=stable]').innerText()).toLowerCase().includes(old));
      const all = (await page.locator('main').innerText()).toLowerCase();
      for (const other of ['candidate', '候选', '稳定版', '副本', '检查失败', '要求']) assert.ok(!all.includes(other), other);
    }, { lang, width: 1280 });
  });
}

test('a rule of the wizard has every comparison that the rule form of a service has', { timeout: 60_000 }, async () => {
  await on(`${NEW}&version=v2&strategy=ab_test`, async (page) => {
    const key = (await page.locator('.steps select[id$=-op]').getAttribute('id')).split('-')[1];
    const words = await page.locator(`#s-${key}-op option`).allInnerTexts();
    for (const word of ['ends with', 'contains']) assert.ok(words.includes(word), words.join());
    await page.locator(`#s-${key}-name`).fill('end-user');
    await page.locator(`#s-${key}-op`).selectOption('suffix');
    await page.locator(`#err-row-0`).waitFor();
    await page.locator(`#s-${key}-value`).fill('@gmail.com');
    await page.waitForFunction(() => document.getElementById('err-row-0').hidden);
    await page.waitForURL(/drafts/);
    await page.reload();
    assert.equal(await page.locator(`#s-${key}-op`).inputValue(), 'suffix');
    assert.equal(await page.locator(`#s-${key}-value`).inputValue(), '@gmail.com');
    for (const one of await drafts()) await api(app.url, 'DELETE', `/api/v1/releases/drafts/${one.id}`);
  }, { width: 1280 });
});

for (const lang of ['en', 'zh']) {
  test(`what no rule takes goes to the pods where nothing declares weights (${lang})`, { timeout: 60_000 }, async () => {
    await on('/services/weather/advertisement', async (page) => {
      assert.match(await page.locator('#rules tr').last().innerText(), lang === 'zh' ? /按容器组分配/ : /spread by pods/);
    }, { lang, width: 1280 });
    await on('/services/bookinfo/reviews', async (page) => {
      assert.match(await page.locator('#rules tr').last().innerText(), lang === 'zh' ? /权重/ : /Weights/);
    }, { lang, width: 1280 });
  });
}
