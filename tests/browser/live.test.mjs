// Live data: checks 35 to 39 of the browser list. The network is cut by stopping the server process that was started here.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { api, axe, browser, open, picture, sluice, until } from './support.mjs';
import { checked, given, number, REVIEWS, row, slider } from './gestures.mjs';
import { countSwaps, quick, still, watch } from './measure.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 60_000 });
after(async () => {
  try { process.kill(app.pid, 'SIGCONT'); } catch { /* ended already */ }
  await chromium?.close();
  await app?.stop();
});

test('35. the observed bar reacts to a real split, without a reload; few requests are called too few', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  const label = () => page.locator('#t-observed [role=img]').getAttribute('aria-label');
  assert.match(await label(), /v1 100/);
  await given(app.url, REVIEWS, { v1: 50, v2: 50, v3: 0 });
  await until(async () => /v2 (\d+)/.test(await label()) && Number(/v2 (\d+)/.exec(await label())[1]) >= 5, 'v2 is seen', 20_000);
  assert.equal(await number(page, 'v2').inputValue(), '50', 'an untouched page follows');
  await page.goto(`${app.url}/services/shop/checkout`);
  assert.match(await page.locator('#t-observed .s').innerText(), /· \d\d$/, 'fewer than 100');
  assert.match(await page.locator('#t-verdict').innerText(), /Too few requests to compare/);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

for (const lang of ['en', 'zh']) {
  test(`36. a cut connection is announced within 15 s with its age, figures are greyed, and all come back once (${lang})`, { timeout: 90_000 }, async () => {
    const page = await open(chromium, app.url, REVIEWS, { lang });
    await page.waitForFunction(() => /实时|Live/.test(document.getElementById('live').innerText), null, { timeout: 15_000 });
    assert.ok(await page.locator('#stale').isHidden());
    await page.evaluate(() => {
      globalThis.said = [];
      new MutationObserver(() => globalThis.said.push(document.getElementById('announcer').textContent)).observe(document.getElementById('announcer'), { childList: true, characterData: true, subtree: true });
    });
    let refreshed = 0;
    page.on('request', (one) => { if (one.headers()['x-sluice-live']) refreshed++; });
    const cut = Date.now();
    process.kill(app.pid, 'SIGSTOP');
    try {
      await page.locator('#stale').waitFor({ timeout: 20_000 });
      assert.ok(Date.now() - cut < 15_500, `${Date.now() - cut} ms`);
      assert.match(await page.locator('#stale .what').innerText(), lang === 'en' ? /^Not live\. This is the state at \d\d:\d\d:\d\d \(1\d s ago\)\.$/ : /^未连接，显示的是 \d\d:\d\d:\d\d 的数据（1\d 秒前）。$/);
      assert.match(await page.locator('#live').innerText(), lang === 'en' ? /Reconnecting/ : /重新连接|重连/);
      assert.match(await page.locator('#t-observed').evaluate((at) => getComputedStyle(at).filter), /grayscale/);
      assert.ok((await page.evaluate(() => globalThis.said)).some((text) => /Connection lost|连接/.test(text)));
      assert.equal(await page.locator('#weights').evaluate((at) => getComputedStyle(at).filter), 'none', 'the form can still be used');
      await picture(page, `stale-${lang}`);
      const age = await page.locator('#stale .what').innerText();
      await until(async () => await page.locator('#stale .what').innerText() !== age, 'the age grows', 3000);
    } finally { process.kill(app.pid, 'SIGCONT'); }
    refreshed = 0;
    await page.locator('#stale').waitFor({ state: 'hidden', timeout: 20_000 });
    await until(async () => refreshed > 0, 'live regions are fetched again');
    await page.waitForTimeout(1500);
    assert.equal(refreshed, 1);
    assert.ok(!await page.evaluate(() => document.body.classList.contains('off')));
    assert.ok((await page.evaluate(() => globalThis.said)).some((text) => /Connection is back|恢复/.test(text)));
    await page.context().close();
  });
}

test('37. while a slider, a field or a dialog has the focus, no event moves focus, scroll or value', { timeout: 60_000 }, async () => {
  await given(app.url, REVIEWS, { v1: 60, v2: 40, v3: 0 });
  const page = await open(chromium, app.url, REVIEWS, { height: 500 });
  const quiet = async (at, what) => {
    // Where it stands on the screen: the browser itself scrolls along when a line above comes or goes.
    const state = () => page.evaluate(() => ({
      focus: document.activeElement.id, value: document.activeElement.value, top: Math.round(document.activeElement.getBoundingClientRect().top),
    }));
    const first = await state();
    await countSwaps(page);
    await until(() => page.evaluate(() => globalThis.swaps >= 3), `events arrive while ${what}`, 15_000);
    assert.deepEqual(await state(), first, what);
    assert.ok(await at.evaluate((element) => element === document.activeElement), what);
  };
  await slider(page, 'v2').focus();
  await quiet(slider(page, 'v2'), 'the slider has the focus');
  await number(page, 'v1').click();
  await page.keyboard.type('7');
  await quiet(number(page, 'v1'), 'a number is half typed');
  await page.locator('#why').scrollIntoViewIfNeeded();
  await page.locator('#why').click();
  await checked(page);
  await page.keyboard.type('half a sen');
  await quiet(page.locator('#why'), 'a reason is half typed');
  await page.reload();
  await row(page, 'v2').locator('a[href*=takeover]').click();
  await page.locator('#act-why').click();
  await page.keyboard.type('half a sen');
  await quiet(page.locator('#act-why'), 'a dialog is open');
  // Somebody else changes the service meanwhile: also then.
  await given(app.url, REVIEWS, { v1: 65, v2: 35, v3: 0 });
  await quiet(page.locator('#act-why'), 'somebody changes the service behind the dialog');
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('38. leaving a page closes its stream: twelve pages in one tab, where a browser has six connections', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, '/services');
  for (let at = 0; at < 12; at++) {
    const stream = page.waitForRequest((one) => one.url().includes('/events?'), { timeout: 10_000 });
    await page.goto(app.url + ['/services', REVIEWS, '/services/shop/catalog'][at % 3], { timeout: 10_000 });
    await stream;
  }
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('38. ten tabs still load: hidden ones give their connection back', { timeout: 120_000 }, async () => {
  const context = (await open(chromium, app.url, '/services')).context();
  // A headless browser shows all tabs at once: the signal of a real one is given by hand.
  await context.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    globalThis.hide = (now) => { hidden = now; document.dispatchEvent(new Event('visibilitychange')); };
  });
  const tabs = context.pages();
  await tabs[0].reload();
  for (let at = 1; at < 10; at++) {
    await tabs.at(-1).evaluate(() => globalThis.hide(true));
    const page = await context.newPage();
    await page.goto(app.url + [REVIEWS, '/services', '/audit'][at % 3], { timeout: 15_000 });
    assert.ok(await page.locator('h1').isVisible(), `tab ${at + 1}`);
    tabs.push(page);
  }
  await tabs.at(-1).evaluate(() => globalThis.hide(true));
  await tabs[0].evaluate(() => globalThis.hide(false));
  await tabs[0].waitForFunction(() => /Live/.test(document.getElementById('live').innerText), null, { timeout: 10_000 });
  await context.close();
});

test('39. first paint < 1 s, a filter swap < 200 ms, no layout shift from live updates (the services of the demo)', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, '/services');
  await quick(page, app.url, 'rev', 1);
  await page.goto(`${app.url}/services`);
  await watch(page);
  await still(page, 10);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

for (const [width, height] of [[1440, 1000], [390, 844]]) {
  test(`39. on the page of a service nothing moves while figures arrive (${width} px)`, { timeout: 100_000 }, async () => {
    const page = await open(chromium, app.url, '/services/shop/catalog', { width, height });
    await watch(page);
    await still(page, 20, 80_000);
    assert.deepEqual(page.troubles, []);
    await page.context().close();
  });
}

/** What the comparison of declared and observed may say of a service whose rules take requests first. */
function verdicts(lang) {
  const lines = readFileSync(new URL(`../../templates/locales/${lang}.yml`, import.meta.url), 'utf8').split('\n');
  const section = lines.slice(lines.indexOf('traffic:') + 1);
  const keys = ['match', 'drift', 'too_few', 'rules', 'catching_up', 'settling'];
  return keys.map((key) => {
    const line = section.find((one) => one.trim().startsWith(`${key}: `));
    return line.slice(line.indexOf(': ') + 2).replaceAll('"', '').replace('%{window}', lang === 'en' ? '60 s' : '60 秒');
  });
}

for (const lang of ['en', 'zh']) {
  test(`39. whatever the comparison of declared and observed says, its header keeps its height (${lang})`, { timeout: 60_000 }, async () => {
    for (const width of [320, 390, 640, 700, 901, 1024, 1100, 1280, 1440, 1920]) {
      const page = await open(chromium, app.url, `/services/shop/catalog?lang=${lang}`, { width, height: 844 });
      const heights = await page.evaluate((texts) => {
        const chip = document.querySelector('#t-verdict > :first-child');
        const rate = chip.nextElementSibling;
        const height = () => chip.closest('header').getBoundingClientRect().height;
        return [...texts, ''].flatMap((text) => {
          chip.innerHTML = text && '<span class="chip warn"><i class="ic i-warn"></i><span></span></span>';
          if (text) chip.querySelector('.chip > span').textContent = text;
          rate.textContent = '6.05 requests/s';
          const few = height();
          rate.textContent = '12,345 requests/s';
          return [few, height()];
        });
      }, verdicts(lang));
      assert.deepEqual([...new Set(heights)].length, 1, `${width} px: ${heights}`);
      await page.context().close();
    }
  });
}

for (const [width, height] of [[1440, 1000], [390, 844]]) {
  test(`39. what comes to need attention waits for a press: no row is pushed away (${width} px)`, { timeout: 90_000 }, async (t) => {
    // A demo of its own: by now the release of the shared one may have come to its approval, which needs attention too.
    const app = await sluice();
    t.after(() => app.stop());
    let items = [];
    await until(async () => { ({ items } = (await api(app.url, 'GET', '/api/v1/releases?service=shop/pricing')).body); return items.length > 0; }, 'the demo has its release', 20_000);
    const say = (command) => api(app.url, 'POST', `/api/v1/releases/${items[0].id}/commands`, { command });
    const page = await open(chromium, app.url, '/services', { width, height });
    // Others may come and go meanwhile: on a busy machine a split is not always met.
    const alarm = page.locator('#attention .row').filter({ hasText: 'shop / pricing: release' });
    assert.deepEqual(await alarm.allInnerTexts(), []);
    const top = () => page.locator('#rows').evaluate((at) => at.getBoundingClientRect().top);
    const rows = await top();
    await watch(page);
    assert.equal((await say('pause')).status, 200);
    try {
      await page.locator('#more').waitFor({ timeout: 15_000 });
      assert.equal(await alarm.count(), 1);
      assert.equal(await top(), rows);
      await still(page, 1);
      assert.deepEqual(await axe(page), []);
      await picture(page, `attention-more-${width}`);
      await page.locator('#more [data-more]').click();
      assert.match(await alarm.innerText(), new RegExp(`shop / pricing: release ${items[0].id} has been paused since \\d\\d:\\d\\d, with \\d+% on v2\\.`));
      assert.ok(await alarm.isVisible());
      await picture(page, `attention-${width}`);
    } finally { await say('resume'); }
    await page.locator('h1').click(); // what has the focus is left alone
    await until(async () => await alarm.count() === 0, 'it is taken away by itself', 15_000);
    assert.deepEqual(page.troubles, []);
    await page.context().close();
  });
}

test('the navigation counts releases that are under way, and follows', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, '/audit');
  const count = page.locator('#nav-active');
  assert.match(await count.innerText(), /^2\s*, 2 releases in progress$/);
  const { items } = (await api(app.url, 'GET', '/api/v1/releases?service=shop/pricing')).body;
  await api(app.url, 'POST', `/api/v1/releases/${items[0].id}/commands?wait=30`, { command: 'abort' });
  await until(async () => /^1\s*, 1 release in progress$/.test(await count.innerText()), 'one is left', 15_000);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
