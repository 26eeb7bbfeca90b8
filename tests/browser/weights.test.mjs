// Weights: checks 1 to 5, 7 and 8 of the browser list. However they are moved, they sum to 100.
// Check 6 (pods come and go) needs a cluster whose pods can be moved: cluster.test.mjs.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { api, browser, picture, sluice, visit } from './support.mjs';
import { checked, declared, lock, number, post, preset, RATINGS, REVIEWS, row, shift, slider, sound, thumb, type, weights } from './gestures.mjs';

const { rebalance } = createRequire(import.meta.url)('../../static/weights.js');
let app, chromium;
before(async () => { app = await sluice(); chromium = await browser(); }, { timeout: 60_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

/** Numbers that look random and are the same in every run. */
function numbers(seed) {
  let state = seed;
  return (below) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor(state / 2147483648 * below); };
}

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

for (const [count, at] of [[1, '/services/weather/forecast'], [2, RATINGS], [3, REVIEWS]]) {
  test(`1. dragging, arrows, PageUp/Down, Home/End, typing and presets keep the total at exactly 100 with ${count} versions`, { timeout: 60_000 }, () => on(at, async (page) => {
    const versions = Object.keys(await sound(page, 'opening'));
    assert.equal(versions.length, count);
    const below = numbers(count);
    for (let round = 0; round < 4; round++) {
      const version = versions[below(versions.length)];
      const from = await thumb(page, version, Number((await weights(page)).of[version])), to = await thumb(page, version, below(101));
      await page.mouse.move(from.x, from.y);
      await page.mouse.down();
      for (let step = 1; step <= 5; step++) {
        await page.mouse.move(from.x + (to.x - from.x) * step / 5, from.y);
        await sound(page, `dragging ${version}`);
      }
      await page.mouse.up();
      for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowUp', 'PageUp', 'PageUp', 'PageDown', 'Home', 'ArrowRight', 'End', 'PageDown']) {
        await slider(page, versions[below(versions.length)]).press(key);
        await sound(page, key);
      }
      await type(page, versions[below(versions.length)], below(101));
      await sound(page, 'typing');
      const value = [0, 1, 5, 10, 25, 50, 100][below(7)], chosen = versions[below(versions.length)];
      await preset(page, chosen, value).click();
      const now = await sound(page, `preset ${value}`);
      if (count > 1) assert.equal(now[chosen], String(value));
    }
  }));
}

test('1. PageUp moves by ten, an arrow by one, Home and End to the ends', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  const steps = [['Home', 0], ['ArrowRight', 1], ['ArrowUp', 2], ['PageUp', 12], ['PageDown', 2], ['ArrowLeft', 1], ['End', 100], ['PageDown', 90]];
  for (const [key, value] of steps) {
    await slider(page, 'v2').press(key);
    assert.equal((await sound(page, key)).v2, String(value), key);
  }
}));

test('1. the rule of linked weights keeps the total at exactly 100 with 5 versions, in 20,000 gestures', () => {
  const below = numbers(5);
  for (let round = 0; round < 20_000; round++) {
    const cuts = [0, below(101), below(101), below(101), below(101), 100].sort((a, b) => a - b);
    const base = cuts.slice(1).map((cut, at) => cut - cuts[at]);
    const locked = base.map(() => below(4) === 0), cap = base.map((weight) => below(5) === 0 ? weight : 100);
    const at = below(5);
    locked[at] = false;
    const now = rebalance(base, at, below(140) - 20, locked, cap);
    assert.equal(now.reduce((sum, one) => sum + one, 0), 100, JSON.stringify({ base, now, locked, cap }));
    now.forEach((weight, j) => {
      assert.ok(Number.isInteger(weight) && weight >= 0 && weight <= 100, JSON.stringify({ base, now }));
      assert.ok(weight <= cap[j], JSON.stringify({ base, now, cap }));
      if (locked[j]) assert.equal(weight, base[j]);
    });
    assert.deepEqual(rebalance(base, at, base[at], locked, cap), base, 'back where it began: everything as it was');
  }
});

test('2. drag v1 out and back without letting go: every other version is back where it was', { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
  for (const [first, second, path] of [[100, 0, [100, 40, 100]], [50, 33, [50, 100, 3, 97, 50]], [7, 31, [7, 100, 0, 7]]]) {
    await type(page, 'v1', first);
    await lock(page, 'v1').click();
    await type(page, 'v2', second);
    await lock(page, 'v1').click();
    const start = await sound(page, 'the start');
    assert.deepEqual([start.v1, start.v2], [String(first), String(second)]);
    const from = await thumb(page, 'v1', path[0]);
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    for (const value of path.slice(1)) {
      const to = await thumb(page, 'v1', value);
      await page.mouse.move(to.x, to.y, { steps: 8 });
    }
    await page.mouse.up();
    assert.deepEqual(await sound(page, `dragging ${path}`), start);
  }
}));

test('3. a locked version keeps its value in 20 random moves of others; its controls are disabled; the lock is announced', { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
  await type(page, 'v2', 20);
  assert.equal(await lock(page, 'v2').getAttribute('aria-pressed'), 'false');
  await lock(page, 'v2').click();
  assert.equal(await lock(page, 'v2').getAttribute('aria-pressed'), 'true');
  await page.waitForFunction(() => document.getElementById('announcer').textContent === 'v2 is locked.');
  assert.ok(await slider(page, 'v2').isDisabled() && await number(page, 'v2').isDisabled());
  for (const button of await row(page, 'v2').locator('.pre button').all()) assert.ok(await button.isDisabled());
  const below = numbers(3);
  for (let round = 0; round < 20; round++) {
    const version = below(2) ? 'v1' : 'v3';
    if (below(2)) await type(page, version, below(101));
    else await preset(page, version, [0, 1, 5, 10, 25, 50, 100][below(7)]).click();
    assert.equal((await sound(page, `move ${round}`)).v2, '20');
  }
  await checked(page);
  assert.match(await page.locator('#preview').innerText(), /v2/, 'the locked weight is sent too');
  await lock(page, 'v2').click();
  await page.waitForFunction(() => document.getElementById('announcer').textContent === 'v2 is unlocked.');
  await preset(page, 'v2', 50).click();
  assert.equal((await sound(page, 'unlocking')).v2, '50');
}));

test('4. all others locked: the slider does not move and says why', { timeout: 30_000 }, () => on(REVIEWS, async (page) => {
  await lock(page, 'v2').click();
  await lock(page, 'v3').click();
  for (const key of ['PageDown', 'ArrowLeft', 'Home']) {
    await slider(page, 'v1').press(key);
    assert.deepEqual(await sound(page, key), { v1: '100', v2: '0', v3: '0' });
  }
  assert.equal(await page.locator('#weights-why').innerText(), 'All other versions are locked, so this weight cannot move.');
  assert.equal(await page.locator('#weights-why').getAttribute('role'), 'status');
}));

test('5. a version with 0 ready pods cannot be raised by slider, number, preset, take-over, form post or API', { timeout: 30_000 }, () => on('/services/bookinfo/details', async (page) => {
  const path = '/services/bookinfo/details';
  assert.ok(await slider(page, 'v2').isDisabled() && await number(page, 'v2').isDisabled());
  assert.equal(await row(page, 'v2').locator('.pre button:visible').count(), 0);
  assert.equal(await row(page, 'v2').locator('a[href*=takeover]').count(), 0);
  assert.match(await row(page, 'v2').innerText(), /0\/1[\s\S]*ImagePullBackOff[\s\S]*No ready pods, so v2 cannot receive traffic\./);
  await type(page, 'v1', 40);
  assert.deepEqual(await sound(page, 'lowering v1'), { v1: '100', v2: '0' });
  const sent = { 'w.v1': '50', 'w.v2': '50', reason: 'try it all the same', ack: 'big_jump', request_id: '', preview_id: '' };
  const preview = await post(page, `${path}/traffic/preview`, sent);
  assert.match(preview.text, /v2 has 0 of 1 pod ready\. These requests would fail with 503\./);
  const form = await post(page, `${path}/traffic/apply`, sent);
  assert.equal(form.status, 422);
  assert.match(form.text, /v2 has 0 of 1 pod ready/);
  const twin = await page.evaluate(async (at) => (await fetch(at)).text(), `${path}/traffic/takeover?version=v2`);
  assert.match(twin, /0 of 1 pod ready/);
  for (const answer of [await shift(app.url, path, { v1: 50, v2: 50 }), await shift(app.url, path, { v1: 0, v2: 100 })]) {
    assert.equal(answer.status, 422);
    assert.equal(answer.body.code, 'no_ready_pods');
  }
  const etag = (await api(app.url, 'GET', `/api/v1${path}`)).headers.get('etag');
  const taken = await api(app.url, 'POST', `/api/v1${path}/traffic/takeover`, { version: 'v2', reason: 'no', ack: ['big_jump'] }, { 'if-match': etag });
  assert.deepEqual([taken.status, taken.body.code], [422, 'no_ready_pods']);
  assert.equal(await declared(app.url, path), null, 'nothing was written');
}));

test('7. typing 250, -5, 12.7, "abc" or nothing never moves traffic; what is no weight stays, marked and said', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  const field = number(page, 'v1');
  const type = async (typed) => {
    await field.press('Control+a');
    await field.press('Delete');
    await field.pressSequentially(typed);
    await field.press('Tab');
  };
  let before = await sound(page, 'the start');
  for (const [typed, becomes] of [['250'], ['-5'], ['12.7'], ['abc', null], ['', null], ['1e1'], ['250'], ['007', '7']]) {
    await type(typed);
    if (becomes === undefined) { // neither cut nor rounded
      assert.equal(await field.inputValue(), typed);
      assert.equal(await field.getAttribute('aria-invalid'), 'true', typed);
      assert.match(await page.locator('#weights-why').innerText(), new RegExp(`${typed}.*v1`), typed);
      assert.equal(await number(page, 'v2').inputValue(), before.v2, `"${typed}" moves no other version`);
      continue;
    }
    const now = await sound(page, `typing "${typed}"`);
    if (becomes) assert.equal(now.v1, becomes, `typing "${typed}"`);
    else assert.deepEqual(now, before, `typing "${typed}" gives the number back and moves no other version`);
    before = now;
  }
  // Another version that is moved then starts from what was valid.
  await type('250');
  await number(page, 'v2').fill('40');
  await number(page, 'v2').press('Tab');
  assert.deepEqual(await sound(page, 'moving another version'), { v1: '60', v2: '40' });
}));

test('7. the server repeats the validation', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  for (const [sent, answer] of [
    [{ 'w.v1': '250', 'w.v2': '-150' }, /must be a whole number from 0 to 100/],
    [{ 'w.v1': '-5', 'w.v2': '105' }, /must be a whole number from 0 to 100/],
    [{ 'w.v1': '12.7', 'w.v2': '87.3' }, /is not a whole number: 12\.7/],
    [{ 'w.v1': 'abc', 'w.v2': '100' }, /is not a whole number: abc/],
    [{ 'w.v1': '', 'w.v2': '100' }, /is not a whole number/],
    [{ 'w.v1': '30', 'w.v2': '60' }, /10% is missing/],
    [{ 'w.v1': '60', 'w.v2': '60' }, /20% too much/],
  ]) {
    const got = await post(page, `${RATINGS}/traffic/apply`, { ...sent, reason: 'nonsense', request_id: '' });
    assert.equal(got.status, 422, JSON.stringify(sent));
    assert.match(got.text.replaceAll('`', ''), answer);
  }
  for (const [split, code] of [[{ v1: 250, v2: -150 }, 'weight_range'], [{ v1: 12.7, v2: 87.3 }, 'weight_type'], [{ v1: '50', v2: 50 }, 'weight_type'], [{ v1: 30, v2: 60 }, 'sum'], [{ v1: 50, nobody: 50 }, 'unknown_version']]) {
    const answer = await shift(app.url, RATINGS, split);
    assert.equal(answer.status, 422, JSON.stringify([split, answer.body]));
    assert.ok(answer.body.code.startsWith(code), JSON.stringify(answer.body));
  }
  assert.deepEqual(await declared(app.url, RATINGS), { v1: 90, v2: 10 }, 'nothing was written');
}));

test('8. with JavaScript off: 30/60 says "10% is missing"; 30/70, check, apply works', { timeout: 30_000 }, () => on(RATINGS, async (page) => {
  await number(page, 'v1').fill('30');
  await number(page, 'v2').fill('60');
  await page.getByRole('button', { name: 'Check change' }).click();
  assert.match(await page.locator('#weights-error').innerText(), /10% is missing/);
  assert.deepEqual((await weights(page)).of, { v1: '30', v2: '60' }, 'what was typed is kept');
  await number(page, 'v2').fill('70');
  await page.getByRole('button', { name: 'Check change' }).click();
  assert.match(await page.locator('#preview .say').innerText(), /^60% of requests move from v1 to v2\./);
  assert.equal(await row(page, 'v2').locator('.delta').innerText(), '+60 was 10');
  // Tick, reason, Apply: no second check is needed, and the button does not look as if it were.
  const apply = page.getByRole('button', { name: 'Apply: v1 30% · v2 70%' });
  assert.equal(await apply.getAttribute('aria-disabled'), null);
  await page.locator('#why').fill('without scripts');
  await apply.click();
  assert.match(await page.locator('main [role=alert], #apply-why').first().innerText(), /Accept the warning/);
  assert.equal(await page.locator('#why').inputValue(), 'without scripts');
  await picture(page, 'no-scripts', { fullPage: true });
  for (const box of await page.locator('#preview input[name=ack]').all()) await box.check();
  await page.getByRole('button', { name: 'Apply: v1 30% · v2 70%' }).click();
  await page.locator('#toasts .toast').waitFor();
  assert.match(await page.locator('#toasts').innerText(), /v1 30% · v2 70% written \(revision \d+\)/);
  assert.deepEqual(await declared(app.url, RATINGS), { v1: 30, v2: 70 });
}, { js: false }));
