// What the analysis of a release does with figures and without them, on the pages: checks 29 and 30 of the browser list.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, browser, open, picture, sluice, until, visit } from './support.mjs';
import { declared, RATINGS, REVIEWS } from './gestures.mjs';
import { begin, chip, hold, inPhase, read, tell, weight } from './releasing.mjs';

let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

/** Looks every 5 s and gives up after three failures. No answer is fast enough for `hopeless`. */
const looking = (metrics) => ({ interval_s: 5, window_s: 60, min_requests: 5, failures: 3, metrics });
const good = [{ metric: 'success_rate', limit: { absolute: 99 } }];
const hopeless = [{ metric: 'latency', quantile: 95, limit: { absolute: 0.001 } }];

test('29. no figures for three intervals: it holds, says undecided, and does not go on by itself', { timeout: 120_000 }, async () => {
  // Nobody calls ratings while reviews v1 has all traffic.
  const id = await begin(app.url, { name: 'ratings', steps: [weight(30), hold(5), weight(100)], analysis: looking(good), policies: { step_deadline_s: 30 } });
  await until(async () => (await api(app.url, 'GET', `/api/v1/releases/${id}/judgements`)).body.items.length >= 4, 'it looked four times', 45_000);
  await on(`/releases/${id}`, async (page) => {
    const now = await read(app.url, id);
    assert.deepEqual([now.percent, now.step, now.latest_verdict], [30, 1, 'undecided'], 'it waits for a verdict, long after the hold');
    assert.match(await chip(page).innerText(), /Running/);
    assert.match(await page.locator('#rel-now').innerText(), /30%[\s\S]*after the analysis passes[\s\S]*waits until the analysis has passed: 0 of the 5 requests[\s\S]*0 of 1 measure pass[\s\S]*latest: undecided/);
    assert.match(await page.locator('#rel-charts').innerText(), /undecided/);
    await page.locator('details.more summary').click();
    assert.match(await page.locator('#rel-numbers').innerText(), /no metrics|too few requests/);
    assert.doesNotMatch(await page.locator('#rel-numbers').innerText(), /\bpass\b/);
    assert.deepEqual(await axe(page), []);
    await picture(page, 'release-no-figures', { fullPage: true });
    // In the end it stands still and says why, without a reload; it never went on.
    await until(async () => /Paused automatically: analysis inconclusive/.test(await chip(page).innerText()), 'it pauses itself', 60_000);
    await until(async () => /the analysis was inconclusive\. Traffic stays as it is/.test(await page.locator('#rel-banner').innerText()), 'and says why');
    await picture(page, 'release-no-data', { fullPage: true });
  });
  assert.deepEqual(await declared(app.url, RATINGS), { v1: 70, v2: 30 });
  await tell(app.url, id, 'abort');
});

test('30. three failures in a row: it pauses; chip, banner, events, history and the list of services say why', { timeout: 120_000 }, async () => {
  const id = await begin(app.url, { steps: [weight(50), hold(600), weight(100)], analysis: looking(hopeless), policies: { on_failure: 'pause' } });
  await on(`/releases/${id}`, async (page) => {
    await until(async () => /A measurement failed: p95 latency/.test(await page.locator('#rel-log').innerText()), 'the first failure is told', 45_000);
    assert.match(await chip(page).innerText(), /Running/, 'one failure is borne');
    await until(async () => /Paused automatically: analysis failed/.test(await chip(page).innerText()), 'it pauses itself', 45_000);
    await until(async () => /the analysis failed\. Traffic stays as it is\. Analyse again, promote or abort; without a pass the release does not continue\./.test(await page.locator('#rel-banner').innerText()), 'the banner says what to do');
    assert.match(await page.locator('#rel-log').innerText(), /Paused: analysis failed[\s\S]*Analysis failed \(3 in a row\)[\s\S]*A measurement failed: p95 latency[\s\S]*A measurement failed: p95 latency/);
    assert.equal((await declared(app.url, REVIEWS)).v2, 50);
    await until(async () => await page.locator('#rel-charts .chip.bad').count() > 0, 'the chart says so');
    assert.deepEqual(await axe(page), []);
    await picture(page, 'release-failed', { fullPage: true });
    await page.goto(`${app.url}/services`);
    const alarm = page.locator('#attention .row.bad', { hasText: 'bookinfo / reviews' });
    assert.match(await alarm.innerText(), new RegExp(`release ${id} paused automatically at \\d\\d:\\d\\d, with 50% on v2: analysis failed\\.`));
    await picture(page, 'services-alarm', { fullPage: true });
    await page.goto(`${app.url}/audit?service=bookinfo/reviews&action=release`);
    assert.match(await page.locator('#entries > tr').first().innerText(), /automatic[\s\S]*Paused: analysis failed/);
    await page.goto(`${app.url}/services`);
    await alarm.getByRole('link', { name: `Open ${id}` }).click();
    await page.waitForURL(`**/releases/${id}`);
    // The way back comes first now; going on needs a reason, and the failure accepted by name.
    assert.match(await page.locator('#rel-abort').getAttribute('class'), /solid/);
    assert.doesNotMatch(await page.locator('#rel-resume').getAttribute('class'), /pri/);
    const bare = await api(app.url, 'POST', `/api/v1/releases/${id}/commands`, { command: 'promote', reason: 'it is known' });
    assert.deepEqual([bare.status, bare.body.code], [422, 'analysis_failed'], JSON.stringify(bare.body));
    await page.locator('#rel-promote').click();
    await page.locator('#dialog[open] #act-ack-analysis_failed').waitFor();
    assert.match(await page.locator('#dialog').innerText(), /The analysis failed: p95 latency\.[\s\S]*I promote although the analysis failed/);
    await picture(page, 'dialog-promote-failed');
    await page.locator('#act-why').fill('it is known');
    await page.locator('#dialog[open] footer button').click();
    await page.locator('#dialog[open] .note.bad').waitFor();
    assert.equal((await declared(app.url, REVIEWS)).v2, 50, 'nothing is promoted');
  });
  await tell(app.url, id, 'abort');
});

test('30. three failures in a row where the plan says abort: all back to v1 by itself, and the page says so', { timeout: 120_000 }, async () => {
  const id = await begin(app.url, { steps: [weight(40), hold(600), weight(100)], analysis: looking(hopeless), policies: { on_failure: 'abort' } });
  await on(`/releases/${id}`, async (page) => {
    await inPhase(app.url, id, 'rolled_back').catch(() => inPhase(app.url, id, 'rolled_back'));
    await until(async () => /Switched back to v1: analysis failed/.test(await chip(page).innerText()), 'the page says so by itself');
    assert.match(await page.locator('#rel-banner').innerText(), /The analysis failed, so all requests went back to v1/);
    assert.match(await page.locator('#rel-log').innerText(), /Aborted automatically: analysis failed/);
    assert.deepEqual(await declared(app.url, REVIEWS), { v1: 100, v2: 0, v3: 0 });
    await picture(page, 'release-went-back', { fullPage: true });
  });
});
