// Releases on a real Kubernetes API server, with real people and RBAC: what somebody else edits, a restart in the middle, a source
// of figures that is away, and who may only look. Checks 31, 33, 34 and 44 of the browser list.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { api, axe, picture, until } from './support.mjs';
import { REVIEWS } from './gestures.mjs';
import { layer } from './cluster.mjs';
import { begin, chip, hold, inPhase, read, tell, weight } from './releasing.mjs';

// A Prometheus that is down: nothing listens there.
const on = layer(['--prometheus-url', 'http://127.0.0.1:9']);
const { skip } = on;
const token = (person) => ({ authorization: `Bearer ${on.real.tokens[person]}` });
const weights = () => on.real.weights('bookinfo', 'reviews');
const start = (steps, more = {}) => begin(on.app.url, { steps, headers: token('amy'), ...more });
const release = (id) => read(on.app.url, id, token('amy'));
const phase = (id, wanted) => inPhase(on.app.url, id, wanted, token('amy'));

/** Sets the weights of reviews as somebody with kubectl would. */
const outside = (...all) => on.real.kubectl(['patch', 'virtualservice', '-n', 'bookinfo', 'reviews', '--type=json', '-p',
  JSON.stringify(all.map((value, at) => ({ op: 'replace', path: `/spec/http/0/route/${at}/weight`, value })))]);

for (const lang of ['en', 'zh']) {
  test(`34. kubectl edits the routing: it pauses, shows the difference and who, and the history says "changed outside" (${lang})`, { skip, timeout: 90_000 }, async () => {
    const id = await start([weight(30), hold(600), weight(100)]);
    await until(async () => (await release(id)).due, 'it holds');
    assert.deepEqual(weights(), { v1: 70, v2: 30, v3: 0 });
    const page = await on.as('amy', `/releases/${id}`, { lang });
    const difference = page.locator('#rel-outside');
    assert.ok(await difference.isHidden());
    outside(50, 30, 20);
    await difference.waitFor({ timeout: 15_000 });
    assert.match(await chip(page).innerText(), lang === 'en' ? /Paused automatically: changed outside/ : /外部/);
    assert.match(await page.locator('#rel-banner').innerText(), lang === 'en' ? /the routing was changed outside Sluice\. Sluice does not overwrite that change/ : /路由在 Sluice 之外被修改。Sluice 不会覆盖该修改/);
    assert.match(await difference.innerText(), lang === 'en' ? /Changed by kubectl-patch at \d\d:\d\d, not through Sluice/ : /kubectl-patch 于 \d\d:\d\d 在 Sluice 之外修改/);
    assert.match(await difference.innerText(), /VirtualService bookinfo\/reviews/);
    const lines = async () => [await difference.locator('del').allInnerTexts(), await difference.locator('ins').allInnerTexts()].map((all) => all.map((one) => one.trim()));
    assert.deepEqual(await lines(), [['weight: 70', 'weight: 0'], ['weight: 50', 'weight: 20']]);
    assert.deepEqual(await axe(page), []);
    await picture(page, `real-release-drift-${lang}`, { fullPage: true });
    // The API says the same.
    const { paused, outside: seen } = await release(id);
    assert.equal(paused.reason, 'drift');
    assert.deepEqual(seen.by, ['kubectl-patch']);
    assert.deepEqual(seen.edits.map((edit) => [edit.kind, edit.namespace, edit.name]), [['VirtualService', 'bookinfo', 'reviews']]);
    assert.match(seen.edits[0].diff, /^- +weight: 70\n\+ +weight: 50$/m);
    // Edited once more: the difference is always that to what the release wrote.
    outside(60, 30, 10);
    await until(async () => JSON.stringify(await lines()) === JSON.stringify([['weight: 70', 'weight: 0'], ['weight: 60', 'weight: 10']]), 'it follows', 15_000);
    // Put back by hand: nothing differs, and it says so.
    outside(70, 30, 0);
    await until(async () => await difference.locator('del, ins').count() === 0, 'nothing differs', 15_000);
    assert.match(await difference.innerText(), lang === 'en' ? /It now matches again what the release wrote/ : /当前又与发布任务写入的内容一致/);
    outside(10, 90, 0);
    await until(async () => await difference.locator('del').count() === 2, 'it differs again', 15_000);
    await difference.locator('p a').click();
    await page.waitForURL('**/audit/*');
    assert.match(await page.locator('tr.detail').innerText(), /weight: 30[\s\S]*weight: 90/);
    assert.match(await page.locator('#entries').innerText(), lang === 'en' ? /changed outside/ : /外部修改/);
    await page.goBack();
    // Who resumes has seen it, and gets the release's own numbers back.
    await page.locator('#rel-resume').click();
    await until(async () => weights().v2 === 30, 'the release writes its own numbers', 15_000);
    await until(async () => await difference.isHidden(), 'the difference goes');
    assert.equal((await release(id)).outside, null);
    assert.deepEqual(page.troubles, []);
    await page.context().close();
    assert.equal((await tell(on.app.url, id, 'abort', token('amy'))).status, 200);
    await phase(id, 'rolled_back');
  });
}

test('33. Sluice is killed in the middle: the open page finds it again, it goes on from the stored step, and the events say so', { skip, timeout: 120_000 }, async () => {
  const id = await start([weight(30), hold(25), weight(60), hold(600), weight(100)]);
  await until(async () => (await release(id)).due, 'it holds');
  const before = await release(id);
  const page = await on.as('amy', `/releases/${id}`);
  await page.waitForFunction(() => /Live/.test(document.getElementById('live').innerText));
  process.kill(on.app.pid, 'SIGKILL');
  await page.waitForFunction(() => /Reconnecting/.test(document.getElementById('live').innerText), null, { timeout: 20_000 });
  await on.again();
  await page.waitForFunction(() => /Live/.test(document.getElementById('live').innerText), null, { timeout: 30_000 });
  const after = await release(id);
  assert.deepEqual([after.step, after.percent, after.due], [before.step, before.percent, before.due], 'the same step, the same moment');
  await until(async () => /Resumed after a restart of Sluice/.test(await page.locator('#rel-log').innerText()), 'the events say so', 15_000);
  await picture(page, 'real-release-restarted', { fullPage: true });
  await until(() => weights().v2 === 60, 'the next step comes', 45_000);
  await until(async () => /60%/.test(await page.locator('#rel-now .big').first().innerText()), 'the page follows', 15_000);
  const { items } = (await api(on.app.url, 'GET', `/api/v1/releases/${id}/timeline`, undefined, token('amy'))).body;
  const done = items.flatMap((entry) => entry.happened).filter((one) => one.what === 'step_done' || one.step_done !== undefined || JSON.stringify(one).includes('step_done'));
  assert.equal(done.length, new Set(done.map((one) => JSON.stringify(one))).size, 'no step twice');
  await page.context().close();
  await tell(on.app.url, id, 'abort', token('amy'));
  await phase(id, 'rolled_back');
});

test('31. abort works while Prometheus is down, without a reason', { skip, timeout: 90_000 }, async () => {
  const id = await start([weight(30), hold(5), { kind: 'analysis', passes: 1 }, weight(100)], {
    analysis: { interval_s: 5, window_s: 60, min_requests: 5, failures: 3, metrics: [{ metric: 'success_rate', limit: { absolute: 99 } }] },
  });
  await until(async () => (await release(id)).latest_verdict === 'error', 'the source does not answer', 45_000);
  const page = await on.as('amy', `/releases/${id}`);
  await until(async () => /no answer/.test(await page.locator('#rel-charts').innerText()), 'the page says so');
  assert.match(await page.locator('#notices').innerText(), /The metrics source does not answer/);
  assert.equal(weights().v2, 30, 'without figures it never goes on');
  await picture(page, 'real-release-blind', { fullPage: true });
  await page.locator('#rel-abort').click();
  const dialog = page.locator('#dialog[open]');
  await dialog.waitFor();
  assert.equal(await dialog.locator('textarea').inputValue(), '');
  await page.keyboard.press('Enter');
  await phase(id, 'rolled_back');
  assert.deepEqual(weights(), { v1: 100, v2: 0, v3: 0 });
  await until(async () => /back to v1/.test(await chip(page).innerText()), 'the page says so');
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});

test('44. vic sees a release with all its figures; every command keeps its place, disabled, with the reason', { skip, timeout: 90_000 }, async () => {
  const id = await start([weight(30), { kind: 'approval' }, weight(100)]);
  await phase(id, 'paused');
  const page = await on.as('vic', `/releases/${id}`);
  assert.match(await page.locator('#rel-banner').innerText(), /You can see bookinfo\/reviews but cannot do this: it needs permission to update/);
  assert.match(await chip(page).innerText(), /Waiting for approval/);
  for (const name of ['promote', 'pause', 'abort']) {
    const button = page.locator(`#rel-actions #rel-${name}`);
    assert.equal(await button.getAttribute('aria-disabled'), 'true', name);
    assert.match(await page.locator(`#rel-${name}-why`).textContent(), /but cannot do this/, name);
  }
  assert.equal(await page.locator('main :is(#rel-actions, #rel-dock, #rel-after) a[href]').count(), 0);
  assert.deepEqual(await axe(page), []);
  await picture(page, 'real-release-viewer', { fullPage: true });
  assert.equal((await tell(on.app.url, id, 'promote', token('vic'))).status, 403);
  assert.equal((await release(id)).phase, 'paused');
  // It waits for somebody: the list of services says so to everybody who may see it.
  await page.goto(`${on.app.url}/services`);
  assert.match(await page.locator('#attention').innerText(), new RegExp(`bookinfo / reviews: release ${id} has been waiting for approval since \\d\\d:\\d\\d, with 30% on v2\\.`));
  assert.match(await page.locator('#nav-active').innerText(), /^1/);
  await page.goto(on.app.url + REVIEWS);
  assert.match(await page.locator('main').innerText(), new RegExp(`${id} controls these weights|not change its traffic`));
  await page.context().close();
  await tell(on.app.url, id, 'abort', token('amy'));
});
