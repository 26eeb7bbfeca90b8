// The wizard of releases: what is typed while an answer is on its way stays, the strategy sets the steps, nothing is called
// wrong before somebody was there, and drafts begin with the first thing that is typed.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, until } from './support.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const NEW = '/releases/new?service=bookinfo/reviews';
const VIEWS = [['en', 1280], ['zh', 1280], ['en', 390], ['zh', 390]];

async function on(at, run, options = {}) {
  const page = await open(chromium, app.url, at, { height: 900, ...options });
  try {
    await run(page);
    assert.deepEqual(page.troubles, []);
  } finally { await page.context().close(); }
}

/** Holds every answer to a POST of the wizard back for a while. */
const slow = (page, ms = 1200) => page.route('**/releases/**', async (route) => {
  if (route.request().method() === 'POST') await new Promise((done) => setTimeout(done, ms));
  await route.continue();
});

/** Waits until nothing is being sent and nothing waits to be sent. */
const quiet = (page) => page.waitForFunction(() => !sluice.sending && asking.size === 0, null, { timeout: 20_000 });
const drafts = async () => (await api(app.url, 'GET', '/api/v1/releases/drafts')).body.items;
const wrong = (page) => page.locator('.err:visible, [aria-invalid=true]:visible, #wiz-rail .i-bad').count();

for (const [lang, width] of VIEWS) {
  test(`text that is typed right after a click stays, with cursor and focus, when the answer comes (${lang}, ${width})`, { timeout: 90_000 }, () => on(NEW, async (page) => {
    await slow(page);
    for (const press of ['#analyse', '#s-2-remove', '#s-3-insert', '#add-step', '#strategy-blue_green']) {
      const word = `after ${press} `;
      const answer = page.waitForResponse((one) => one.request().method() === 'POST' && !one.request().headers()['hx-request']);
      await page.locator(press).click();
      await page.locator('#reason').click();
      await page.keyboard.press('End');
      const had = await page.locator('#reason').inputValue();
      await page.keyboard.type(word, { delay: 15 });
      await answer;
      await quiet(page);
      assert.equal(await page.locator('#reason').inputValue(), had + word, press);
      assert.equal(await page.evaluate(() => document.activeElement.id), 'reason', press);
      await page.keyboard.type('!');
      assert.equal(await page.locator('#reason').inputValue(), `${had}${word}!`, `the cursor is at the end after ${press}`);
    }
    assert.equal(await page.locator('#analyse').isChecked(), false, 'the click itself is not lost either');
    assert.equal(await page.locator('#strategy-blue_green').isChecked(), true);
  }, { lang, width }));
}

test('a number that is typed into a step while another step is removed stays in its step', { timeout: 60_000 }, () => on(NEW, async (page) => {
  await slow(page);
  await page.locator('#s-1-remove').click();
  await page.locator('#s-3-percent').fill('33');
  await page.waitForFunction(() => !document.getElementById('s-1-percent'));
  await quiet(page);
  assert.equal(await page.locator('#s-3-percent').inputValue(), '33');
  assert.equal(await page.locator('#s-4-percent').inputValue(), '50');
  assert.equal(await page.locator('#s-3-percent').getAttribute('name'), 's.2.percent');
}));

test('steps that are changed while the steps of another strategy are on their way are kept, and the other ones are offered', { timeout: 60_000 }, () => on(NEW, async (page) => {
  await slow(page);
  await page.locator('#strategy-blue_green').click();
  await page.locator('#s-4-percent').fill('44');
  await page.locator('#use-steps').waitFor({ timeout: 15_000 });
  await quiet(page);
  assert.equal(await page.locator('#s-4-percent').inputValue(), '44');
  assert.equal(await page.locator('#strategy-blue_green').isChecked(), true);
}));

test('no press is lost while an answer is on its way: each is made in its turn', { timeout: 60_000 }, () => on(NEW, async (page) => {
  await slow(page, 700);
  const rows = () => page.locator('.steps tbody tr:not(.errrow)').count();
  const before = await rows();
  await page.locator('#analyse').click();
  await page.locator('#add-step').click();
  await page.locator('#add-step').click();
  await page.locator('#strategy-mirror').click();
  await until(async () => await page.locator('#strategy-mirror').isChecked() && await rows() === before + 2, 'all four presses took effect', 20_000);
  await quiet(page);
  assert.equal(await page.locator('#analyse').isChecked(), false);
  assert.equal(await page.locator('#use-steps').isVisible(), true, 'changed steps stay');
}));

test('a button that is replaced between pressing and letting go still does what it says', { timeout: 60_000 }, async () => {
  for (const browserFocuses of [true, false]) {
    await on('/services/bookinfo/reviews', async (page) => {
      const link = page.locator('a[hx-target="#dialog"]:visible').first();
      await link.waitFor();
      // In one go: a live update may replace it in between.
      const box = await page.evaluate(() => {
        const link = [...document.querySelectorAll('a[hx-target="#dialog"]')].find((el) => el.offsetParent);
        link.scrollIntoView({ block: 'center', behavior: 'instant' });
        return link.getBoundingClientRect().toJSON();
      });
      if (!browserFocuses) await page.evaluate(() => addEventListener('mousedown', (event) => event.preventDefault(), true));
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      await page.mouse.down();
      await page.evaluate(() => {
        const old = document.querySelector('a[hx-target="#dialog"]');
        const fresh = old.cloneNode(true);
        old.replaceWith(fresh);
        htmx.process(fresh);
      });
      await page.mouse.up();
      await page.locator('#dialog[open]').waitFor();
    });
  }
});

test('the answer to an older question never replaces the dialog of a newer one', { timeout: 60_000 }, () => on('/services/bookinfo/reviews', async (page) => {
  const links = page.locator('a[hx-target="#dialog"]:visible');
  assert.ok(await links.count() >= 2);
  const first = await links.nth(0).getAttribute('hx-get'), second = await links.nth(1).getAttribute('hx-get');
  let late;
  await page.route((url) => url.pathname + url.search === first, async (route) => { await new Promise((done) => { late = done; }); await route.continue(); });
  await links.nth(0).click();
  await until(() => late, 'the first question is on its way');
  await links.nth(1).click();
  await page.locator('#dialog[open] form').waitFor();
  const shown = await page.locator('#dialog').innerHTML();
  const answer = page.waitForResponse((one) => one.url().endsWith(first));
  late();
  await answer;
  await page.waitForTimeout(300);
  assert.equal(await page.locator('#dialog').innerHTML(), shown, `${first} came after ${second}`);
}));

for (const [lang, width] of VIEWS) {
  test(`the strategy sets the steps, templates are named by it, and a mismatch is never green (${lang}, ${width})`, { timeout: 90_000 }, () => on(NEW, async (page) => {
    const kinds = () => page.locator('.steps tbody select[id$=-kind]').evaluateAll((all) => all.map((el) => el.value));
    const shares = () => page.locator('.steps tbody input[id$=-percent]').evaluateAll((all) => all.map((el) => el.value));
    for (const [strategy, steps, values] of [
      ['blue_green', ['wait', 'weight'], ['100']],
      ['mirror', ['mirror', 'mirror', 'weight', 'weight'], ['10', '0', '10', '100']],
      ['ab_test', ['rules', 'weight', 'weight'], ['50', '100']],
      ['replicas', null, []],
      ['canary', ['weight', 'weight', 'weight', 'weight', 'weight', 'weight'], ['1', '5', '10', '25', '50', '100']],
    ]) {
      await page.locator(`#strategy-${strategy}`).check();
      await page.waitForURL(new RegExp(`strategy=${strategy}`));
      await quiet(page);
      if (steps) assert.deepEqual(await kinds(), steps, strategy);
      else assert.ok((await kinds()).includes('replicas') && (await kinds()).every((kind) => /^(replicas|wait)$/.test(kind)), strategy);
      assert.deepEqual(await shares(), values, strategy);
      assert.equal(await wrong(page), 0, `${strategy}: nothing is wrong in a form that nobody touched`);
      const templates = (await page.locator('#template option').allInnerTexts()).join(' | ');
      assert.equal(/1(, |、)5(, |、)10/.test(templates), strategy === 'canary', templates);
      assert.equal(await page.locator('#use-steps').count(), 0);
      await picture(page, `wizard-${strategy}-${lang}-${width}`, { fullPage: true });
    }
    assert.deepEqual(await axe(page), []);
    // Changed steps stay; what they are not is said, and the strategy's own are one press away.
    await page.locator('#s-' + await page.locator('.steps tbody input[id$=-percent]').first().evaluate((el) => el.id.split('-')[1]) + '-percent').fill('3');
    await page.locator('#strategy-blue_green').check();
    await page.locator('#use-steps').waitFor();
    assert.ok(await page.locator('.err[id^=err-row]:visible').count() > 0, 'a blue-green release that begins at 3 % is refused');
    assert.ok(await page.locator('#wiz-rail .i-bad').count() > 0);
    await page.locator('#use-steps').click();
    await page.waitForFunction(() => !document.getElementById('use-steps'));
    assert.deepEqual(await shares(), ['100']);
    assert.equal(await wrong(page), 0);
  }, { lang, width }));
}

for (const [lang, width] of VIEWS) {
  test(`what is missing is called wrong only at Start or after its field was left; nothing is cut off (${lang}, ${width})`, { timeout: 60_000 }, () => on('/releases/new', async (page) => {
    assert.equal(await wrong(page), 0);
    assert.equal(await page.locator('#fix').isVisible(), true, 'what is missing is counted');
    await page.locator('#version').focus();
    await page.keyboard.press('Tab');
    await page.locator('#err-version').waitFor();
    assert.equal(await page.locator('#err-image:visible, #err-reason:visible').count(), 0);
    await page.locator('#start-btn').click();
    await page.locator('#err-reason').waitFor();
    await page.locator('#err-service').waitFor();
    assert.equal(await page.locator('#err-image:visible').count(), 1);
    await page.goto(app.url + NEW);
    const cut = await page.evaluate(() => [...document.querySelectorAll('main .scroll, main select, main td, main th, main .fld, main .btn')].filter((el) => el.scrollWidth > el.clientWidth + 1 && getComputedStyle(el).display !== 'inline').map((el) => `${el.className} ${el.textContent.trim().slice(0, 40)} ${el.scrollWidth} > ${el.clientWidth}`));
    if (width >= 1280) assert.deepEqual(cut, []);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no sideways scrolling');
    await picture(page, `wizard-first-${lang}-${width}`, { fullPage: true });
  }, { lang, width }));
}

test('a draft begins with the first thing that is typed; every draft is in the list and can be deleted there', { timeout: 90_000 }, () => on(NEW, async (page) => {
  for (const old of await drafts()) await api(app.url, 'DELETE', `/api/v1/releases/drafts/${old.id}`);
  for (const radio of ['#strategy-mirror', '#from-adopt', '#strategy-blue_green', '#from-image']) {
    await page.locator(radio).check();
    await quiet(page);
  }
  assert.deepEqual(await drafts(), [], 'choices alone are no draft');
  const at = page.url();
  await page.reload();
  assert.equal(await page.locator('#strategy-blue_green').isChecked(), true, 'the address keeps them');
  assert.equal(page.url(), at);
  await page.locator('#reason').fill('REV-1');
  await until(async () => (await drafts()).length === 1, 'a draft');
  for (let n = 2; n <= 8; n++) await api(app.url, 'POST', '/api/v1/releases/drafts', { fields: { service: 'bookinfo/reviews', version: `v${n + 10}` } });
  await page.goto(`${app.url}/releases`);
  const list = page.locator('[data-draft]');
  assert.equal(await list.count(), 8, 'older ones are not hidden');
  await list.first().locator('button').click();
  await until(async () => await list.count() === 7 && (await drafts()).length === 7, 'one less');
  assert.deepEqual(await axe(page), []);
}));

test('a number that is emptied is what it was before', { timeout: 60_000 }, () => on(NEW, async (page) => {
  for (const field of ['#s-1-percent', '#s-1-hold', '#failures', '#deadline', '#interval', '#min_requests']) {
    const before = await page.locator(field).inputValue();
    await page.locator(field).focus();
    await page.locator(field).fill('');
    await page.keyboard.press('Tab');
    assert.equal(await page.locator(field).inputValue(), before, field);
  }
}));

for (const lang of ['en', 'zh']) {
  test(`a canary with a new image takes seven clicks from the service to its start (${lang})`, { timeout: 90_000 }, () => on('/services/bookinfo/details', async (page) => {
    let clicks = 0;
    const click = async (what) => { clicks++; await page.locator(what).first().click(); };
    await click('a[href^="/releases/new"]:visible');
    await page.locator('#version').waitFor();
    await click('#version');
    await page.keyboard.type('v9');
    await click('#image');
    await page.keyboard.type('registry.example/bookinfo/details:1.19.0');
    await click('#reason');
    await page.keyboard.type(`REV-1 ${lang}`);
    await until(async () => await page.locator('#fix').count() === 0, 'nothing is missing', 15_000);
    const plan = await page.locator('#plan').innerText();
    for (const kind of ['Deployment bookinfo/details-v9', 'VirtualService', 'DestinationRule']) assert.ok(plan.includes(kind), `${kind} in ${plan}`);
    assert.ok(await page.locator('#plan .writes li').count() >= 2, 'step by step');
    // The second visit finds the routing that the first one made: its first write is the new Deployment.
    if (lang === 'en') assert.ok(await page.locator('#plan details ins').count() > 0, 'with the first difference');
    await page.locator('#wiz-start').scrollIntoViewIfNeeded();
    await picture(page, `wizard-ready-${lang}`, { fullPage: true });
    await click('#start-btn');
    await page.waitForURL(/\/releases\/R-\d+/);
    assert.ok(clicks <= 7, `${clicks} clicks`);
    const id = page.url().match(/R-\d+/)[0];
    await api(app.url, 'POST', `/api/v1/releases/${id}/commands?wait=30`, { command: 'abort' });
    await api(app.url, 'POST', `/api/v1/releases/${id}/commands?wait=30`, { command: 'delete_version', confirm: 'v9' });
    await until(async () => !(await api(app.url, 'GET', '/api/v1/services/bookinfo/details')).body.versions.some((one) => one.name === 'v9'), 'v9 is deleted', 30_000);
  }, { lang, width: 1280 }));
}

test('the forecast of samples has numbers and follows the share', { timeout: 60_000 }, () => on(NEW, async (page) => {
  await page.locator('#from-adopt').check();
  await page.locator('#adopt').selectOption('v2');
  await quiet(page);
  await page.locator('#min_requests').fill('5000');
  const said = () => page.locator('#plan .checks').innerText();
  await until(async () => /\d+.*1%.*5000|5000/.test(await said()), 'it says how many are needed');
  const before = await said();
  const first = page.locator('.steps input[id$=-percent]').first();
  await first.fill('4');
  await until(async () => await said() !== before && /4%/.test(await said()), 'another share, other numbers');
  const there = await said();
  await page.locator('#window').selectOption('60');
  await page.locator('#min_requests').fill('100');
  await until(async () => await said() !== there, 'another window, other numbers');
}));

test('templates that people made are kept, refused at their fields, offered by strategy, and deleted from the page', { timeout: 90_000 }, () => on(NEW, async (page) => {
  await page.locator('details.more > summary').click();
  await page.locator('#keep-template').click();
  await page.locator('#err-template_name').waitFor();
  await page.locator('#template_name').fill('Weekend');
  await page.locator('#keep-template').click();
  await page.waitForFunction(() => document.getElementById('template').value === 'own:Weekend');
  assert.equal((await api(app.url, 'GET', '/api/v1/releases/templates')).body.items.length, 1);
  await page.locator('#strategy-blue_green').check();
  await quiet(page);
  assert.match((await page.locator('#template option').allInnerTexts()).join('|'), /Weekend \(.+\)/);
  await page.locator('details.more > summary').click();
  await page.locator('button[value="forget:Weekend"]').click();
  await until(async () => (await api(app.url, 'GET', '/api/v1/releases/templates')).body.items.length === 0, 'it is deleted');
}));
