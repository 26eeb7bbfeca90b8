// The hand of benches/click.rs: opens the page of a service in Chromium, fills in a change, and clicks on command.
// One JSON line in, one out: {"prepare":"v2"} → {"ready":true}; {"click":true} → {"at":milliseconds since 1970}.
//   SLUICE_TEST_TOKEN=… node tests/browser/click.mjs URL /services/NAMESPACE/NAME
import { createInterface } from 'node:readline';
import { signIn } from './cluster.mjs';
import { acceptAll, type } from './gestures.mjs';
import { browser } from './support.mjs';

const [url, service] = process.argv.slice(2);
const chromium = await browser();
try {
  const page = await chromium.newPage({ locale: 'en-GB', reducedMotion: 'reduce' });
  // Kept over the navigation that follows the click.
  await page.addInitScript(() => document.addEventListener('click', (event) => {
    if (event.target.closest('#apply-btn')) sessionStorage.setItem('clicked', performance.timeOrigin + performance.now());
  }, true));
  await page.goto(`${url}/login`);
  await signIn(page, process.env.SLUICE_TEST_TOKEN);
  for await (const line of createInterface({ input: process.stdin })) {
    const { prepare } = JSON.parse(line);
    if (prepare) {
      await page.goto(`${url}${service}`);
      await type(page, prepare, 100);
      await acceptAll(page);
      await page.locator('#why').fill('a benchmark');
      await page.locator('#apply-btn:enabled').waitFor();
      console.log(JSON.stringify({ ready: true }));
    } else {
      await page.locator('#apply-btn').click();
      await page.locator('#toasts .toast').waitFor({ timeout: 20_000 });
      console.log(JSON.stringify({ at: Number(await page.evaluate(() => sessionStorage.getItem('clicked'))) }));
    }
  }
} finally {
  await chromium.close();
}
