// Every page and every state of a page that the demo can show. Used by the tests that go through all of them.
import { checked, given, REVIEWS, row, type } from './gestures.mjs';

/** A little history, so that no list is empty. */
export async function furnish(url) {
  await given(url, REVIEWS, { v1: 80, v2: 20, v3: 0 });
  await given(url, REVIEWS, { v1: 60, v2: 30, v3: 10 });
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
  ['releases', '/releases'],
  ['releases-none', '/releases?q=nothing-like-this'],
  ['wizard', '/releases/new?service=bookinfo/reviews'],
  ['wizard-first', '/releases/new'],
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
