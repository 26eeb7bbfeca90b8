// Releases: checks 24 to 28, 31, 32 and 52 of the browser list, on the demo. What the analysis does with figures (29, 30) is in
// releases-analysis.test.mjs; restarts (33) and outside edits (34) need a real API server: releases-real.test.mjs.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, until, visit } from './support.mjs';
import { declared, REVIEWS } from './gestures.mjs';
import { begin, chip, hold, inPhase, read, weight } from './releasing.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

const started = (steps) => begin(app.url, { steps });
const release = (id) => read(app.url, id);
const phase = (id, wanted) => inPhase(app.url, id, wanted);

async function saved(page) {
  await page.waitForFunction(() => document.querySelector('#draft-marks input[name=draft]').value !== '', null, { timeout: 10_000 });
}

test('24. the wizard restores everything after a reload; two tabs on one draft warn', { timeout: 60_000 }, () => on('/releases/new?service=bookinfo/reviews', async (page) => {
  await page.locator('#version').fill('v7');
  await page.locator('#image').fill('registry.example/reviews:1.19.0');
  await page.locator('#reason').fill('REV-300');
  await saved(page);
  await page.locator('#s-1-hold').fill('7');
  await page.locator('#failures').fill('4');
  await page.waitForURL(/\/releases\/drafts\//);
  const seq = () => page.locator('#draft-marks input[name=seq]').inputValue();
  const before = await seq();
  await until(async () => Number(await seq()) >= Number(before), 'saved');
  await page.waitForTimeout(800);
  await page.reload();
  for (const [field, value] of [['#version', 'v7'], ['#image', 'registry.example/reviews:1.19.0'], ['#reason', 'REV-300'], ['#s-1-hold', '7'], ['#failures', '4']]) {
    assert.equal(await page.locator(field).inputValue(), value, field);
  }
  const other = await page.context().newPage();
  await other.goto(page.url());
  await other.locator('#reason').fill('from the other tab');
  await other.waitForTimeout(800);
  await page.locator('#reason').fill('from this tab');
  await page.locator('#wiz-stale .note').waitFor();
  assert.match(await page.locator('#wiz-stale').innerText(), /another tab/);
  assert.equal(await page.locator('#reason').inputValue(), 'from this tab', 'what is typed stays');
  await picture(page, 'wizard-stale', { fullPage: true });
}));

test('25. a step that does not rise, a taken name and an empty image are said at their fields, and Start links to them', { timeout: 60_000 }, () => on('/releases/new?service=bookinfo/reviews', async (page) => {
  await page.locator('#version').fill('v2');
  await page.locator('#image').fill('::');
  await page.locator('#reason').fill('REV-300');
  await page.locator('#s-3-percent').fill('4');
  await page.locator('#err-row-3').waitFor({ state: 'visible' });
  assert.match(await page.locator('#err-row-3').innerText(), /4 comes after 10/);
  assert.match(await page.locator('#err-version').innerText(), /already/);
  assert.equal(await page.locator('#image').getAttribute('aria-invalid'), 'true');
  assert.equal(await page.locator('#start-btn').getAttribute('aria-describedby'), 'fix');
  assert.match(await page.locator('#fix').innerText(), /things to fix, first in section 3/);
  await page.locator('#fix a').click();
  assert.match(page.url(), /#w3$/);
  // A limit that the old version itself does not keep is reported beforehand.
  await page.locator('#m-1-absolute').fill('0.5');
  await until(async () => /v1 .*0\.5/.test(await page.locator('#plan').innerText()), 'the plan says so');
  assert.deepEqual(await axe(page), []);
  await picture(page, 'wizard-refused', { fullPage: true });
  await page.locator('#s-3-percent').fill('25');
  await page.locator('#err-row-3').waitFor({ state: 'hidden' });
}));

test('26. the timer follows the server, also after ten minutes asleep', { timeout: 60_000 }, async () => {
  const id = await started([weight(30), hold(600), weight(100)]);
  await until(async () => (await release(id)).due, 'it holds');
  await on(`/releases/${id}`, async (page) => {
    const left = async () => {
      const [min, s] = (await page.locator('[data-due]').innerText()).split(':').map(Number);
      return min * 60 + s;
    };
    const due = Date.parse((await release(id)).due);
    await until(async () => Math.abs(await left() - (due - Date.now()) / 1000) <= 1.5, 'within a second');
    // Asleep: the clock of the page jumps, its timers did not run.
    await page.evaluate(() => { const real = Date.now; Date.now = () => real() + 600_000; });
    await until(async () => Math.abs(await left() - (due - Date.now()) / 1000) <= 1.5, 'within a second after the next event', 15_000);
  });
});

test('27. pause takes effect at once and stops the timer; resume goes on with what was left', { timeout: 60_000 }, async () => {
  const id = await started([weight(30), hold(300), weight(100)]);
  await until(async () => (await release(id)).due, 'it holds');
  await on(`/releases/${id}`, async (page) => {
    await page.locator('#rel-pause').click();
    await until(async () => /Paused/.test(await chip(page).innerText()), 'paused');
    assert.equal(await page.locator('[data-due]').count(), 0, 'nothing counts down');
    const left = await page.locator('#rel-now .big').nth(1).innerText();
    await page.waitForTimeout(2500);
    assert.equal(await page.locator('#rel-now .big').nth(1).innerText(), left);
    await page.locator('#rel-resume').click();
    await page.locator('[data-due]').waitFor();
    const seconds = (text) => text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
    assert.ok(Math.abs(seconds(await page.locator('[data-due]').innerText()) - seconds(left)) <= 3);
  });
});

test('28. promote and abort say the same numbers as what comes of them, by dialog, live on the page', { timeout: 90_000 }, async () => {
  const id = await started([weight(30), hold(300), weight(60), hold(300), weight(100)]);
  await until(async () => (await release(id)).due, 'it holds');
  await on(`/releases/${id}`, async (page) => {
    await picture(page, 'release-running', { fullPage: true });
    await page.locator('#rel-promote').click();
    const dialog = page.locator('#dialog[open]');
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /to 60% now\?[\s\S]*Another 30% of requests[\s\S]*Promote to 60%/);
    assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Keep waiting', 'forward: the focus is on Cancel');
    await picture(page, 'dialog-promote');
    await dialog.locator('button.pri').click();
    await until(async () => (await declared(app.url, REVIEWS)).v2 === 60, 'v2 has 60');
    await page.keyboard.press('b');
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /All requests go back to v1/);
    assert.match(await page.evaluate(() => document.activeElement.innerText), /Abort, send 100% to v1/, 'back: the focus is on the act');
    assert.deepEqual(await axe(page), []);
    await picture(page, 'dialog-abort');
    await page.keyboard.press('Enter');
    await phase(id, 'rolled_back');
    assert.deepEqual(await declared(app.url, REVIEWS), { v1: 100, v2: 0, v3: 0 });
    await until(async () => /back to v1/.test(await chip(page).innerText()), 'the page says so by itself');
  });
});

test('31. without JavaScript: from the list to an abort without a reason', { timeout: 60_000 }, async () => {
  const id = await started([weight(30), { kind: 'approval' }, weight(100)]);
  await until(async () => (await release(id)).paused?.reason === 'gate', 'it waits');
  await on('/releases?show=active', async (page) => {
    await page.getByRole('link', { name: id }).click();
    assert.match(await chip(page).innerText(), /Waiting for approval/);
    await page.locator('#rel-abort').click();
    await page.getByRole('button', { name: 'Abort, send 100% to v1' }).click();
    await phase(id, 'rolled_back');
    assert.equal((await declared(app.url, REVIEWS)).v1, 100);
  }, { js: false });
});

test('32. retire is disabled with its reason until the release is done; a wrong name is refused by the server', { timeout: 90_000 }, async () => {
  const id = await started([weight(30), { kind: 'approval' }, weight(100)]);
  await until(async () => (await release(id)).paused?.reason === 'gate', 'it waits');
  await on(`/releases/${id}`, async (page) => {
    const button = page.locator('#rel-after button');
    assert.equal(await button.getAttribute('aria-disabled'), 'true');
    assert.match(await page.locator('#rel-after').innerText(), /Possible once v2 has all traffic/);
    await page.locator('#rel-promote').click();
    await page.locator('#dialog[open] button.pri').click();
    await phase(id, 'succeeded');
    await page.locator('#rel-after a.btn').waitFor();
    assert.match(await page.locator('#rel-after').innerText(), /Deployment reviews-v1/);
    await picture(page, 'release-done', { fullPage: true });
    await page.locator('#rel-after a.btn').click();
    await page.locator('#act-name').fill('reviews v2');
    await page.locator('#act-why').fill('v2 has proved itself');
    await page.locator('#dialog[open] button.bad').click();
    await page.locator('#act-name-error').waitFor();
    assert.equal((await api(app.url, 'GET', `/api/v1${REVIEWS}`)).body.versions.length, 3);
  });
  // All of it back for those that follow.
  const back = await api(app.url, 'GET', `/api/v1${REVIEWS}`);
  await api(app.url, 'POST', `/api/v1${REVIEWS}/traffic/takeover`, { version: 'v1', reason: 'again', ack: ['big_jump', 'few_pods'] }, { 'if-match': back.headers.get('etag') });
  await until(async () => (await declared(app.url, REVIEWS)).v1 === 100, 'v1 has all');
});

test('the service page leaves the weights to its release, with a link', { timeout: 60_000 }, async () => {
  const id = await started([weight(30), { kind: 'approval' }, weight(100)]);
  await on(REVIEWS, async (page) => {
    assert.match(await page.locator('#denied').innerText(), new RegExp(`${id} controls these weights`));
    assert.equal(await page.locator('#apply-btn').count(), 0);
    await page.getByRole('link', { name: `See ${id}` }).click();
    await page.waitForURL(new RegExp(`/releases/${id}$`));
  });
  await api(app.url, 'POST', `/api/v1/releases/${id}/commands`, { command: 'abort' });
  await phase(id, 'rolled_back');
});

test('52. on a phone, in the dark: share, state, timer and the three buttons without scrolling', { timeout: 60_000 }, async () => {
  const id = await started([weight(30), hold(300), weight(100)]);
  await until(async () => (await release(id)).due, 'it holds');
  await on(`/releases/${id}`, async (page) => {
    for (const what of ['#rel-state .chip', '#rel-now .big >> nth=0', '[data-due]', '#rel-pause-dock', '#rel-abort-dock', '#rel-promote-dock']) {
      const box = await page.locator(what).boundingBox();
      assert.ok(box && box.y >= 0 && box.y + box.height <= 844, `${what}: ${JSON.stringify(box)}`);
    }
    assert.deepEqual(await axe(page), []);
    await picture(page, 'release-phone-dark');
    await picture(page, 'release-phone-dark-full', { fullPage: true });
  }, { width: 390, height: 844, theme: 'dark' });
  await api(app.url, 'POST', `/api/v1/releases/${id}/commands`, { command: 'abort' });
});
