// What is measured on a page: paint, the swap of a filter, how often live elements are replaced, and what moves meanwhile.
// Used by the tests of check 39.
import assert from 'node:assert/strict';
import { until } from './support.mjs';

/** Counts how often live elements are replaced, from now on. */
export const countSwaps = (page) => page.evaluate(() => {
  globalThis.swaps = 0;
  new MutationObserver((all) => {
    for (const one of all) for (const node of one.addedNodes) if (node.matches?.('[data-live]')) globalThis.swaps++;
  }).observe(document.querySelector('main'), { childList: true, subtree: true });
});

/** Counts live elements and remembers everything that moves, from now on. */
export async function watch(page) {
  await page.evaluate(() => {
    globalThis.moved = [];
    new PerformanceObserver((list) => {
      for (const one of list.getEntries()) globalThis.moved.push([one.value, ...one.sources.map((source) => source.node?.id || source.node?.className || source.node?.nodeName)]);
    }).observe({ type: 'layout-shift', buffered: false });
  });
  await countSwaps(page);
}

/** Fails if anything moved that a person could see move, after so many live elements were replaced. */
export async function still(page, swaps, timeout = 20_000) {
  await until(() => page.evaluate((least) => globalThis.swaps >= least, swaps), `${swaps} live elements are replaced`, timeout);
  const moved = await page.evaluate(() => globalThis.moved);
  assert.ok(moved.reduce((sum, [value]) => sum + value, 0) < 0.001, `layout shift: ${JSON.stringify(moved)}`);
}

/** The list paints within 1 s and answers a filter within 200 ms: the best of three, as the machine has other things to do. */
export async function quick(page, url, typed, rows) {
  let paint = Infinity, swap = Infinity;
  for (let round = 0; round < 3; round++) {
    await page.goto(`${url}/services`);
    await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0);
    paint = Math.min(paint, await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await page.evaluate(() => {
      const began = new Promise((done) => document.addEventListener('htmx:config:request', () => done(performance.now()), { once: true }));
      const ended = new Promise((done) => document.addEventListener('htmx:after:swap', () => done(performance.now()), { once: true }));
      globalThis.took = Promise.all([began, ended]).then(([from, to]) => to - from);
    });
    await page.locator('#q').pressSequentially(typed);
    swap = Math.min(swap, await page.evaluate(() => globalThis.took));
    await until(async () => await page.locator('#rows > tr').count() === rows, `${rows} rows`);
  }
  assert.ok(paint < 1000, `first paint after ${paint} ms`);
  assert.ok(swap < 200, `swap took ${swap} ms`);
}
