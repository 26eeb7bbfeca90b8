// Makes tests/browser/pictures/service.png, the picture of the README: `node picture.mjs` after a build.
import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { browser, open, picture, sluice } from './support.mjs';
import { acceptAll, checked, REVIEWS, type } from './gestures.mjs';

const app = await sluice();
const chromium = await browser();
try {
  const page = await open(chromium, app.url, REVIEWS, { theme: 'light', width: 1440, height: 1100 });
  await type(page, 'v2', 70);
  await checked(page);
  await acceptAll(page);
  await page.locator('#why').fill('CHG-1042: v2 shows the ratings that v1 leaves out');
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.waitForFunction(() => /Live/.test(document.getElementById('live').innerText));
  await page.waitForFunction(() => /Observed matches declared/.test(document.getElementById('t-verdict').innerText), null, { timeout: 60_000 });
  const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), 'pictures');
  mkdirSync(folder, { recursive: true });
  copyFileSync(await picture(page, 'service'), path.join(folder, 'service.png'));
} finally {
  await chromium.close();
  await app.stop();
}
