// The file of the history vanishes under the running program: an open page says so by itself, a change says why it is not
// made, and both end when the file is back.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { axe, browser, open, sluice, until } from './support.mjs';

const GONE = { en: 'The file of the history has been missing since', zh: '历史文件已不在原处' };

for (const lang of ['en', 'zh']) {
  test(`a history that is gone is said on an open page, and so is that it is back (${lang})`, { timeout: 90_000 }, async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sluice-history-'));
    const [file, away] = ['sluice-demo.db', 'away.db'].map((name) => path.join(folder, name));
    const app = await sluice(['demo', '--data', folder]);
    const chromium = await browser();
    try {
      const page = await open(chromium, app.url, '/services/bookinfo/reviews', { lang });
      await page.waitForFunction(() => /Live|实时/.test(document.getElementById('live').innerText));
      const notices = page.locator('#notices');
      assert.ok(!(await notices.innerText()).includes(GONE[lang]));
      renameSync(file, away);
      await until(async () => (await notices.innerText()).includes(GONE[lang]), 'the open page says it', 15_000);
      assert.deepEqual(await axe(page), []);
      const probe = await fetch(`${app.url}/readyz`);
      assert.equal(probe.status, 503);
      assert.equal((await probe.json()).status, 'cannot_write');
      renameSync(away, file);
      await until(async () => !(await notices.innerText()).includes(GONE[lang]), 'the open page says that it is over', 15_000);
      assert.equal((await fetch(`${app.url}/readyz`)).status, 200);
      assert.deepEqual(page.troubles, []);
    } finally {
      await chromium.close();
      await app.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
