// What a person does on the pages of a service, in the words of the tests. Used by the *.test.mjs beside this file.
import assert from 'node:assert/strict';
import { api, until } from './support.mjs';

export const REVIEWS = '/services/bookinfo/reviews';
export const RATINGS = '/services/bookinfo/ratings';

export const row = (page, version) => page.locator(`fieldset[data-version="${version}"]`);
export const number = (page, version) => row(page, version).locator('input[type=number]');
export const slider = (page, version) => row(page, version).locator('input[type=range]');
export const lock = (page, version) => row(page, version).locator('[data-lock]');
export const preset = (page, version, value) => row(page, version).locator(`.pre button[value="${value}"]`);

/** The numbers as they stand in the form, and the total that the page says. */
export function weights(page) {
  return page.evaluate(() => ({
    of: Object.fromEntries([...document.querySelectorAll('.vrow[data-version]')].map((at) => [at.dataset.version, at.querySelector('input[type=number]')?.value])),
    sliders: Object.fromEntries([...document.querySelectorAll('.vrow[data-version]')].map((at) => [at.dataset.version, at.querySelector('input[type=range]')?.value])),
    total: document.getElementById('total').textContent,
  }));
}

/** Fails unless all weights are whole numbers from 0 to 100 that sum to 100, and sliders and total say the same. */
export async function sound(page, after) {
  const now = await weights(page);
  const all = Object.values(now.of);
  for (const one of all) assert.match(one, /^(100|\d{1,2})$/, `after ${after}: ${JSON.stringify(now)}`);
  assert.equal(all.reduce((sum, one) => sum + Number(one), 0), 100, `after ${after}: ${JSON.stringify(now)}`);
  assert.deepEqual(now.sliders, now.of, `after ${after}`);
  assert.equal(now.total, '100', `after ${after}`);
  return now.of;
}

/** Types a number and leaves the field. */
export async function type(page, version, value) {
  await number(page, version).fill(String(value));
  await number(page, version).press('Tab');
}

/** Where the thumb of a slider stands for a value, on the screen. */
export async function thumb(page, version, value) {
  await slider(page, version).scrollIntoViewIfNeeded();
  const box = await slider(page, version).boundingBox();
  return { x: box.x + 11 + (box.width - 22) * value / 100, y: box.y + box.height / 2 };
}

/** Waits until the answer to the latest gesture stands in the panel. */
export async function checked(page) {
  await page.waitForFunction(() => {
    const preview = document.getElementById('preview');
    return preview && !preview.hasAttribute('aria-busy') && document.querySelector('#pending .busy').hidden;
  }, null, { timeout: 10_000 });
}

/** The sentence of the pending change. */
export async function said(page) {
  await checked(page);
  return (await page.locator('#preview .say').innerText()).split('\n')[0];
}

/** Accepts every warning of the pending change. */
export async function acceptAll(page) {
  await checked(page);
  for (;;) {
    const open = page.locator('#preview input[name=ack]:not(:checked)');
    if (await open.count() === 0) return;
    await open.first().check();
    await checked(page);
  }
}

/** Reason, Apply, and the page that says that it was written. */
export async function apply(page, reason) {
  await acceptAll(page);
  await page.locator('#why').fill(reason);
  // The toast of an earlier change must not be taken for this one's.
  for (const old of await page.locator('#toasts [data-dismiss]').all()) await old.click();
  await page.locator('#apply-btn').click();
  await page.locator('#toasts .toast').waitFor({ timeout: 20_000 });
}

/** Gives a service these weights through the API; other fields of the body may be added. */
export async function shift(url, service, split, extra = {}) {
  const before = await api(url, 'GET', `/api/v1${service}`);
  const answer = await api(url, 'PUT', `/api/v1${service}/traffic`, { weights: split, reason: 'set by a test', ack: ['big_jump', 'few_pods', 'unhealthy', 'gitops'], ...extra },
    { 'if-match': before.headers.get('etag') });
  return answer;
}

/** The same, and it must work. The declared split is what was asked for afterwards. */
export async function given(url, service, split, extra = {}) {
  const answer = await shift(url, service, split, extra);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  await until(async () => {
    const now = await declared(url, service);
    return Object.entries(split).every(([version, weight]) => now[version] === weight);
  }, `${service} is declared ${JSON.stringify(split)}`);
  return answer.body;
}

export async function declared(url, service) {
  return (await api(url, 'GET', `/api/v1${service}`)).body.declared;
}

/** The history of a service, newest first. */
export async function history(url, service) {
  const name = service.replace('/services/', '');
  return (await api(url, 'GET', `/api/v1/audit?service=${encodeURIComponent(name)}&limit=100`)).body.items;
}

/** Sends the form of the page as a script would: what the page forbids is not in the way. */
export function post(page, at, fields) {
  return page.evaluate(async ([path, pairs]) => {
    const form = new FormData(document.getElementById('weights'));
    for (const [name, value] of pairs) form.set(name, value);
    form.set('csrf', document.querySelector('meta[name=csrf]').content);
    const answer = await fetch(path, { method: 'POST', body: new URLSearchParams(form), headers: { Accept: 'text/html' } });
    return { status: answer.status, url: answer.url, text: new DOMParser().parseFromString(await answer.text(), 'text/html').body.textContent };
  }, [at, Object.entries(fields)]);
}
