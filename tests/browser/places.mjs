// Every page and every state of a page that the demo can show. Used by the tests that go through all of them.
import { checked, given, REVIEWS, row, type } from './gestures.mjs';
import { read, weight } from './releasing.mjs';
import { api, until } from './support.mjs';

/** A little history, so that no list is empty; one of the demo's releases stands still, as if its version were bad. */
export async function furnish(url) {
  await given(url, REVIEWS, { v1: 80, v2: 20, v3: 0 });
  await given(url, REVIEWS, { v1: 60, v2: 30, v3: 10 });
  await until(async () => (await read(url, 'R-1')).due, 'R-1 runs', 30_000);
  const bad = { service: { namespace: 'bookinfo', name: 'ratings' }, strategy: 'canary', stable: 'v1', candidate: { from: 'adopt', version: 'v2' }, steps: [weight(20), { kind: 'approval' }, weight(100)] };
  const made = await api(url, 'POST', '/api/v1/releases?wait=30', { spec: bad, reason: 'RAT-7 half stars' });
  if (made.body.id !== 'R-3') throw new Error(`the first release of a test is R-3, not ${JSON.stringify(made.body)}`);
  const over = { ...bad, service: { namespace: 'shop', name: 'catalog' }, steps: [weight(50), weight(100)] };
  const done = await api(url, 'POST', '/api/v1/releases?wait=30', { spec: over, reason: 'CAT-12 faster lists' });
  if (done.body.phase !== 'succeeded') throw new Error(JSON.stringify(done.body));
}

export const PLACES = [
  ['services', '/services'],
  ['services-none', '/services?q=reviws'],
  ['services-calm', '/services?show=attention&ns=weather'],
  ['service', REVIEWS],
  ['pending', REVIEWS, async (page) => {
    await type(page, 'v2', 80);
    await checked(page);
    for (const one of await page.locator('#preview summary').all()) await one.click();
  }],
  ['refused', REVIEWS, async (page) => {
    await type(page, 'v2', 40);
    await checked(page);
    await page.locator('#why').evaluate((field) => { field.required = false; });
    await page.locator('#apply-btn').click();
    await page.locator('#why-error').waitFor();
  }],
  ['rule', '/services/shop/catalog', async (page) => {
    await page.locator('#rules-card header button').click();
    await page.locator('#when-0-name').waitFor();
  }],
  ['dialog', REVIEWS, async (page) => {
    await row(page, 'v3').locator('a[href*=takeover]').click();
    await page.locator('#dialog[open] h2').waitFor();
  }],
  ['keys', '/services', async (page) => { await page.keyboard.press('?'); await page.locator('#keys[open]').waitFor(); }],
  ['details', '/services/bookinfo/details'],
  ['checkout', '/services/shop/checkout'],
  ['cart', '/services/shop/cart'],
  ['broken', '/services/shop/gift-cards'],
  ['longest', '/services/shop/international-shipping-cost-and-customs-duty-estimation-service'],
  ['takeover', `${REVIEWS}/traffic/takeover?version=v2`],
  ['back', `${REVIEWS}/traffic/switch-back?revision=1`],
  ['retire', `${REVIEWS}/traffic/retire?version=v3`],
  ['object', `${REVIEWS}/objects/VirtualService/bookinfo/reviews`],
  ['releases', '/releases'],
  ['releases-none', '/releases?q=nothing-like-this'],
  ['wizard', '/releases/new?service=bookinfo/reviews'],
  ['wizard-first', '/releases/new'],
  ['release', '/releases/R-1'],
  ['release-numbers', '/releases/R-1', async (page) => { if (await page.locator('details.more summary').count()) await page.locator('details.more summary').click(); }],
  ['release-more', '/releases/R-1', async (page) => { await page.locator('#rel-actions details summary').click(); }],
  ['release-bad', '/releases/R-2'],
  ['release-waiting', '/releases/R-3'],
  ['release-done', '/releases/R-4'],
  ['release-promote', '/releases/R-1/promote'],
  ['release-abort', '/releases/R-1/abort'],
  ['release-dialog', '/releases/R-1', async (page) => {
    await page.locator('#rel-abort:visible, #rel-abort-dock:visible').first().click();
    await page.locator('#dialog[open] h2').waitFor();
  }],
  ['release-rollback', '/releases/R-1/rollback'],
  ['release-steps', '/releases/R-1/change-steps'],
  ['release-retire', '/releases/R-4/retire'],
  ['audit', '/audit'],
  ['audit-open', '/audit', async (page) => {
    await page.locator('#entries [data-detail]').first().click();
    await page.locator('tr.detail').waitFor();
  }],
  ['audit-none', '/audit?q=nobody'],
  ['api', '/api/docs', async (page) => { await page.locator('details.op summary').nth(6).click(); }],
  ['bookinfo', '/demo/bookinfo/productpage?n=100'],
  ['weather', '/demo/weather'],
  ['missing', '/nowhere'],
];
