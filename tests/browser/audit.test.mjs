// The history: checks 40 to 43 of the browser list.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { api, browser, open, picture, sluice, until, visit } from './support.mjs';
import { apply, declared, given, history, number, RATINGS, REVIEWS, shift, type, weights } from './gestures.mjs';

const DETAILS = '/services/bookinfo/details';
// What these tests did; the demo's own releases have entries in other namespaces.
const OURS = '/audit?q=bookinfo';
let app, chromium;
before(async () => {
  app = await sluice();
  chromium = await browser();
  const page = await open(chromium, app.url, REVIEWS);
  await type(page, 'v2', 20);
  await apply(page, '发布 v2：修复评分显示问题');
  await page.context().close();
  await given(app.url, RATINGS, { v1: 80, v2: 20 }, { reason: '=HYPERLINK("http://example.com","press here")' });
  assert.equal((await shift(app.url, RATINGS, { v1: 10, v2: 90 }, { ack: [], reason: 'without a look' })).status, 422);
  assert.equal((await shift(app.url, DETAILS, { v1: 50, v2: 50 }, { reason: '+1 for v2' })).status, 422);
}, { timeout: 90_000 });
after(async () => { await chromium?.close(); await app?.stop(); });

const on = (at, run, options) => visit(chromium, app.url, at, run, options);

const rows = (page) => page.locator('#entries > tr:not(.detail)');
const lines = (csv) => csv.replace(/^\uFEFF/, '').split('\r\n').filter((line) => line !== '');

/** One line of CSV as its fields. */
function fields(line) {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);
}

test('40. applied and refused changes appear with actor, channel, before and after, reason and request id', { timeout: 30_000 }, () => on(OURS, async (page) => {
  assert.equal(await rows(page).count(), 4);
  const text = await rows(page).allInnerTexts();
  assert.match(text[3], /demo\s+browser · 127\.0\.0\.1\s+Change traffic\s+bookinfo \/ reviews\s+v2 0 → 20%\s+发布 v2：修复评分显示问题\s+applied\s+1/);
  assert.match(text[2], /demo\s+API · 127\.0\.0\.1[\s\S]*bookinfo \/ ratings\s+v2 10 → 20%[\s\S]*applied\s+1/);
  assert.match(text[1], /API[\s\S]*ratings[\s\S]*without a look[\s\S]*refused/);
  assert.match(text[0], /API[\s\S]*details[\s\S]*\+1 for v2[\s\S]*refused/);
  assert.equal(await rows(page).nth(3).locator('[role=img]').count(), 2, 'before and after');
  await picture(page, 'audit', { fullPage: true });
  await rows(page).nth(3).locator('[data-detail]').click();
  const detail = page.locator('tr.detail');
  await detail.waitFor();
  assert.match(page.url(), /\/audit\/\d+/, 'the open row has an address');
  const open_ = await detail.innerText();
  assert.match(open_, /Request\s+[0-9a-f-]{36}/);
  assert.match(open_, /weight: 20/);
  assert.match(open_, /VirtualService bookinfo\/reviews · written/);
  await picture(page, 'audit-detail', { fullPage: true });
  const address = page.url();
  await page.goto(address);
  await page.locator('tr.detail').waitFor();
  assert.match(await page.locator('tr.detail').innerText(), /weight: 20/, 'a link that was sent to somebody shows the same');
  await page.locator('tr.open [data-detail]').click();
  await page.locator('tr.detail').waitFor({ state: 'detached' });
}));

test('40. a refused entry names the check that refused it', { timeout: 30_000 }, () => on('/audit?result=refused', async (page) => {
  assert.equal(await rows(page).count(), 2);
  await rows(page).nth(0).locator('[data-detail]').click();
  await page.locator('tr.detail').waitFor();
  assert.match(await page.locator('tr.detail').innerText(), /v2 has 0 of 1 pod ready/);
}));

test('41. filters combine, survive reload and Back', { timeout: 30_000 }, () => on('/audit', async (page) => {
  await page.locator('#ar').selectOption('refused');
  await until(async () => await rows(page).count() === 2, 'two refused');
  await page.locator('#as').selectOption('bookinfo/ratings');
  await until(async () => await rows(page).count() === 1, 'one of ratings');
  assert.match(page.url(), /service=bookinfo(%2F|\/)ratings/);
  assert.match(page.url(), /result=refused/);
  await page.reload();
  assert.equal(await rows(page).count(), 1);
  assert.equal(await page.locator('#ar').inputValue(), 'refused');
  assert.equal(await page.locator('#as').inputValue(), 'bookinfo/ratings');
  await page.goBack();
  await until(async () => await rows(page).count() === 2, 'two again');
  assert.equal(await page.locator('#ar').inputValue(), 'refused');
  await page.goto(`${app.url}/audit`);
  await page.locator('#aq').pressSequentially('评分');
  await until(async () => await rows(page).count() === 1, 'found by a Chinese word of the reason');
  await page.locator('#aq').fill('nobody ever wrote this');
  await page.getByText('No entry matches these filters').waitFor();
  await page.getByRole('link', { name: 'Clear' }).first().click();
  await until(async () => await rows(page).count() >= 4, 'all');
}));

test('41. the export holds exactly the filtered rows, formula-safe, UTF-8, Chinese intact', { timeout: 30_000 }, () => on(OURS, async (page) => {
  const csv = async () => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const all = await csv();
  assert.deepEqual([...all.subarray(0, 3)], [0xef, 0xbb, 0xbf], 'a mark, so that spreadsheets read UTF-8');
  const text = all.toString('utf8');
  assert.equal(lines(text).length, 5, 'a heading and four entries');
  assert.ok(text.includes('发布 v2：修复评分显示问题'));
  for (const line of lines(text)) for (const field of fields(line)) assert.doesNotMatch(field, /^[=+\-@\t\r]/, `a spreadsheet would calculate: ${field}`);
  assert.match(text, /'=HYPERLINK/);
  assert.match(text, /'\+1 for v2/);
  await page.locator('#ar').selectOption('applied');
  await until(async () => await rows(page).count() === 2, 'two applied');
  assert.match(await page.locator('#results').innerText(), /Export 2 entries/);
  const part = lines((await csv()).toString('utf8'));
  assert.equal(part.length, 3);
  assert.ok(part.slice(1).every((line) => fields(line).includes('applied')));
  const json = await (await fetch(`${app.url}/audit.json?q=bookinfo&result=applied`)).json();
  assert.equal((json.items ?? json).length, 2);
}));

test('42. restore opens a pending change and runs the checks of today; nothing is applied before Apply', { timeout: 30_000 }, () => on('/audit', async (page) => {
  await given(app.url, REVIEWS, { v1: 40, v2: 0, v3: 60 });
  const entries = (await history(app.url, REVIEWS)).length;
  await page.goto(`${app.url}/audit?service=bookinfo/reviews`);
  await rows(page).nth(1).locator('[data-detail]').click();
  await page.getByRole('link', { name: 'Prepare to restore revision 1…' }).click();
  await page.waitForURL('**/services/bookinfo/reviews?restore=1*');
  assert.deepEqual((await weights(page)).of, { v1: '80', v2: '20', v3: '0' });
  assert.match(await page.locator('#preview .say').innerText(), /60% of requests move/);
  assert.ok(await page.locator('#preview [data-code=big_jump]').isVisible(), 'the checks of today');
  await picture(page, 'restore', { fullPage: true });
  assert.deepEqual(await declared(app.url, REVIEWS), { v1: 40, v2: 0, v3: 60 });
  assert.equal((await history(app.url, REVIEWS)).length, entries);
  await apply(page, 'as it was');
  assert.deepEqual(await declared(app.url, REVIEWS), { v1: 80, v2: 20, v3: 0 });
  assert.equal(await number(page, 'v2').inputValue(), '20');
}));

test('43. no route and no button edits or deletes an entry', { timeout: 30_000 }, () => on('/audit', async (page) => {
  const id = (await history(app.url, REVIEWS)).at(-1).id;
  for (const method of ['PUT', 'PATCH', 'DELETE', 'POST']) {
    for (const at of ['/api/v1/audit', `/api/v1/audit/${id}`, '/audit', `/audit/${id}`]) {
      const answer = await api(app.url, method, at, method === 'DELETE' ? undefined : { reason: 'changed' });
      assert.ok([403, 404, 405].includes(answer.status), `${method} ${at}: ${answer.status}`);
    }
  }
  await rows(page).first().locator('[data-detail]').click();
  await page.locator('tr.detail').waitFor();
  const controls = await page.locator('main button, main input[type=submit]').evaluateAll((all) => all.filter((at) => at.offsetParent).map((at) => at.innerText.trim()));
  assert.deepEqual(controls.filter((name) => !['Copy link', 'Add a reason'].includes(name)), []);
  assert.equal(await page.locator('main form[method=post]:not([action*=reasons])').count(), 0);
}));
