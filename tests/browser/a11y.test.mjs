// For everybody: checks 47 to 51 of the browser list.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { axe, browser, open, picture, sluice, until } from './support.mjs';
import { declared, number, REVIEWS, row, slider } from './gestures.mjs';
import { furnish, PLACES } from './places.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); await furnish(app.url); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

/** Goes through every place in one window and reports what `look` finds there. */
async function everywhere(options, look) {
  const page = await open(chromium, app.url, '/services', options);
  const found = [];
  for (const [name, at, act] of PLACES) {
    await page.goto(app.url + at);
    if (act) await act(page);
    found.push(...(await look(page, name)).map((line) => `${name}: ${line}`));
  }
  const troubles = page.troubles;
  await page.context().close();
  assert.deepEqual(found, []);
  return troubles;
}

for (const lang of ['en', 'zh']) {
  for (const [width, height] of [[1440, 1000], [390, 844]]) {
    test(`47. axe: 0 violations on every page (${lang}, ${width} px, light and dark)`, { timeout: 150_000 }, () => everywhere({ lang, width, height, theme: 'light' }, async (page, name) => {
      const found = [];
      for (const theme of ['light', 'dark']) {
        await page.evaluate((now) => { document.documentElement.dataset.theme = now; }, theme);
        // A theme changes colours and nothing else.
        found.push(...(await axe(page, theme === 'dark' ? ['color-contrast'] : undefined)).map((line) => `${theme}: ${line}`));
        if ((lang === 'en') === (theme === 'light')) await picture(page, `${name}-${lang}-${width}-${theme}`, { fullPage: true });
      }
      return found;
    }));
  }
}

test('48. take over and switch back by keyboard alone; Esc closes, focus returns, focus is always visible', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  const focus = () => page.evaluate(() => {
    const at = document.activeElement, box = at.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return {
      name: at.getAttribute('aria-label') ?? at.innerText, tag: at.tagName, id: at.id,
      seen: box.height > 0 && (at === top || at.contains(top) || top?.contains(at)), ring: at.matches(':focus-visible'),
    };
  });
  const tabTo = async (name) => {
    for (let press = 0; press < 90; press++) {
      await page.keyboard.press('Tab');
      const now = await focus();
      if (now.tag === 'BODY') continue;
      assert.ok(now.ring, `${now.tag} ${now.name} shows its focus`);
      assert.ok(now.seen, `${now.tag} ${now.name} is not covered by header or dock`);
      if (now.name === name) return;
    }
    assert.fail(`Tab never reached ${name}`);
  };
  await tabTo('Take over all traffic with v2');
  await page.keyboard.press('Enter');
  await page.locator('#dialog[open] h2').waitFor();
  assert.equal((await focus()).name, 'Cancel', 'the safe choice first');
  await page.keyboard.press('Escape');
  await page.locator('#dialog[open]').waitFor({ state: 'detached' });
  assert.equal((await focus()).name, 'Take over all traffic with v2', 'the focus returns');
  await page.keyboard.press('Enter');
  await page.locator('#dialog[open] h2').waitFor();
  for (const box of await page.locator('#act input[name=ack]').all()) {
    while (!await box.evaluate((at) => at === document.activeElement)) await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
  }
  while ((await focus()).id !== 'act-why') await page.keyboard.press('Shift+Tab');
  await page.keyboard.type('by keyboard');
  await tabTo('Take over all traffic with v2');
  await page.keyboard.press('Enter');
  await until(async () => (await declared(app.url, REVIEWS)).v2 === 100, 'v2 has all traffic');
  await page.locator('#toasts .toast').waitFor();
  assert.equal((await focus()).tag, 'H1');
  await page.evaluate(() => document.activeElement.blur());
  const back = page.locator('.head .acts a', { hasText: 'Back to v1 60%' });
  await back.waitFor();
  await tabTo((await back.innerText()).trim());
  await page.keyboard.press('Enter');
  await page.locator('#dialog[open] h2').waitFor();
  assert.match((await focus()).name, /^Back to v1 60%/, 'back is one key away');
  await page.keyboard.press('Enter');
  await until(async () => (await declared(app.url, REVIEWS)).v1 === 60, 'as before');
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('a filter that the browser sends itself, before htmx is there, has the same address', { timeout: 30_000 }, async () => {
  for (const [at, q] of [['/services', '#q'], ['/audit', '#aq'], ['/releases', '#q']]) {
    const page = await open(chromium, app.url, at);
    await page.locator(q).evaluate((field) => { field.value = 'reviews'; field.form.submit(); });
    await page.waitForURL(`**${at}?q=reviews`, { timeout: 10_000 });
    assert.equal(await page.locator(q).inputValue(), 'reviews');
    assert.deepEqual(page.troubles, []);
    await page.context().close();
  }
});

test('48. a change by keys alone: e, arrows, reason, Ctrl+Enter', { timeout: 30_000 }, async () => {
  const page = await open(chromium, app.url, '/services');
  await page.keyboard.press('/');
  assert.match(await page.evaluate(() => document.activeElement.id), /^(q|find)$/);
  await page.keyboard.type('reviews');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/services?q=reviews', { timeout: 10_000 });
  await until(async () => await page.locator('#rows > tr').count() === 1, 'one row');
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**${REVIEWS}`, { timeout: 10_000 });
  await page.keyboard.press('e');
  assert.ok(await slider(page, 'v1').evaluate((at) => at === document.activeElement));
  const was = Number(await number(page, 'v1').inputValue());
  for (let press = 0; press < 5; press++) await page.keyboard.press('ArrowLeft');
  assert.equal(await number(page, 'v1').inputValue(), String(was - 5));
  await page.locator('#preview .say').waitFor();
  await until(async () => await page.locator('#apply-btn').getAttribute('aria-disabled') !== 'true', 'it can be applied');
  await page.locator('#why').focus();
  await page.keyboard.type('keys');
  await page.keyboard.press('Control+Enter');
  await until(async () => (await declared(app.url, REVIEWS)).v1 === was - 5, 'applied');
  await page.locator('#toasts .toast').waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.waitForURL('**/audit');
  await page.context().close();
});

test('49. a slider says name and percent; checks say their severity in words or by their box; one polite live region', { timeout: 30_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  assert.equal(await slider(page, 'v2').getAttribute('aria-label'), 'Weight of v2');
  await slider(page, 'v2').focus();
  await page.keyboard.press('End');
  assert.equal(await slider(page, 'v2').getAttribute('aria-valuetext'), '100%');
  const tree = await page.locator('#weights').ariaSnapshot();
  assert.match(tree, /group "Version v2"/);
  assert.match(tree, /slider "Weight of v2"/);
  assert.match(tree, /spinbutton "Weight of v2 in percent"/);
  assert.equal(await page.locator('#announcer').getAttribute('aria-live'), 'polite');
  assert.equal(await page.locator('[data-live][aria-live], [data-live] [aria-live], [data-live][role=status]').count(), 0, 'figures do not speak');
  await page.context().close();
});

/** What sticks out of the window or is cut off. */
const overflow = (page) => page.evaluate(() => {
  const found = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push(`the page scrolls sideways: ${document.documentElement.scrollWidth} > ${wide}`);
  for (const at of document.querySelectorAll('main .btn, main .chip, main h1, main h2, main th, main label')) {
    if (at.offsetParent && !at.matches('.vh, .vh *') && at.scrollWidth > at.clientWidth + 1 && getComputedStyle(at).overflowX !== 'visible') found.push(`cut: ${at.tagName} ${at.innerText}`);
  }
  return found;
});

test('50. 320 px: no page scrolls sideways, nothing is cut', { timeout: 60_000 }, () => everywhere({ width: 320, height: 700 }, async (page, name) => {
  if (['service', 'audit'].includes(name)) await picture(page, `${name}-320`, { fullPage: true });
  return overflow(page);
}));

test('50. text at 200 %: no page scrolls sideways, nothing is cut', { timeout: 60_000 }, () => everywhere({ lang: 'zh', width: 1280, height: 900 }, async (page, name) => {
  // Zoom to 200 % leaves half as many pixels of CSS to the page.
  await page.setViewportSize({ width: 640, height: 450 });
  const found = await overflow(page);
  if (name === 'service') await picture(page, 'service-200', { fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });
  return found;
}));

test('50. touch targets are at least 44 px on a phone, 24 px everywhere', { timeout: 60_000 }, async () => {
  for (const [width, least] of [[390, 44], [1440, 24]]) {
    await everywhere({ width, height: 844 }, (page) => page.evaluate((least_) => {
      const found = [];
      for (const at of document.querySelectorAll('button, a.btn, input:not([type=hidden]), select, textarea, nav a, summary')) {
        if (!at.offsetParent || at.disabled || at.matches('.vh')) continue;
        const box = at.getBoundingClientRect();
        // A box inside a label is as large as its label.
        const target = ['checkbox', 'radio'].includes(at.type) ? at.closest('label').getBoundingClientRect() : box;
        if (target.height < least_ - 0.5 || target.width < Math.min(least_, 24) - 0.5) found.push(`${at.tagName} ${at.getAttribute('aria-label') ?? at.innerText ?? at.name} ${Math.round(target.width)}×${Math.round(target.height)}`);
      }
      return found;
    }, least));
  }
});

test('51. forced colours and grey: versions, states and selected items are still told apart', { timeout: 60_000 }, async () => {
  const page = await open(chromium, app.url, REVIEWS);
  const looks = await page.locator('#t-declared .bar > span').evaluateAll((all) => all.map((at) => getComputedStyle(at).backgroundImage));
  assert.equal(new Set(looks).size, 3, 'each version has a pattern of its own');
  for (const chip of await page.locator('.chip').all()) assert.notEqual((await chip.innerText()).trim(), '', 'a state is a word');
  await page.emulateMedia({ forcedColors: 'active' });
  assert.notEqual(await page.locator('.side [aria-current]').evaluate((at) => getComputedStyle(at).outlineStyle), 'none');
  assert.notEqual(await row(page, 'v1').locator('.pre button').first().evaluate((at) => getComputedStyle(at.closest('.pre')).borderStyle), 'none');
  await picture(page, 'forced-colors', { fullPage: true });
  await page.emulateMedia({ forcedColors: 'none' });
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setEmulatedVisionDeficiency', { type: 'achromatopsia' });
  await picture(page, 'grey', { fullPage: true });
  await session.detach();
  await page.context().close();
});
