// What every browser test needs: a Sluice of its own, a browser, and a few gestures.
// Everything listens on loopback and is ended by its own process id.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** The program under test: SLUICE_BIN, else the debug build. */
export function program() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
  const bin = process.env.SLUICE_BIN ?? path.join(target, 'debug', 'sluice');
  if (!existsSync(bin)) throw new Error(`${bin} is missing: run "cargo build" first`);
  return bin;
}

/** Starts Sluice and waits until it is ready. Returns { url, stop, log }. */
export async function sluice(args = ['demo'], env = {}, listen = '127.0.0.1:0') {
  const child = spawn(program(), [...args, '--listen', listen], {
    env: { ...process.env, ...env, SLUICE_LOG: 'info' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (part) => { log += part; });
  const ended = new Promise((done) => child.once('exit', done));
  const url = await new Promise((found, failed) => {
    let out = '';
    child.stdout.on('data', (part) => {
      out += part;
      const match = /Sluice is at (http:\/\/\S+)/.exec(out);
      if (match) found(match[1]);
    });
    ended.then(() => failed(new Error(`Sluice ended before it listened:\n${log}`)));
  });
  await until(async () => (await fetch(`${url}/readyz`)).ok, 'Sluice is ready', 30_000);
  const stop = async () => { child.kill('SIGTERM'); await ended; };
  return { url, stop, log: () => log, pid: child.pid };
}

/** A headless browser that asks nobody but the pages under test. */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}

/** Asks again until the answer is true. Fails with what was waited for. */
export async function until(ask, what, timeout = 10_000) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    try { if (await ask()) return; } catch (error) { last = error; }
    if (Date.now() > end) throw new Error(`waited ${timeout} ms in vain: ${what}${last ? ` (${last.message})` : ''}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** A page in one language, theme and size, that fails the test on any console error or foreign request. */
export async function open(browserOrContext, url, at, options = {}) {
  const { lang = 'en', theme, width = 1440, height = 1000, js = true, reducedMotion = 'reduce' } = options;
  const context = browserOrContext.newContext
    ? await browserOrContext.newContext({
      viewport: { width, height }, javaScriptEnabled: js, reducedMotion, locale: lang === 'zh' ? 'zh-CN' : 'en-GB',
      hasTouch: width < 640, isMobile: width < 640, colorScheme: theme === 'dark' ? 'dark' : 'light',
    })
    : browserOrContext;
  const { hostname } = new URL(url);
  await context.addCookies([
    { name: 'lang', value: lang, domain: hostname, path: '/' },
    ...(theme ? [{ name: 'theme', value: theme, domain: hostname, path: '/' }] : []),
  ]);
  const page = await context.newPage();
  page.troubles = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !/the server responded with a status of (4|5)\d\d/.test(message.text())) {
      page.troubles.push(message.text());
    }
  });
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) page.troubles.push(`asked ${request.url()}`);
  });
  await page.goto(url + at);
  return page;
}

/** Opens a page for one check, and fails where the browser had anything to complain about. */
export async function visit(browserOrContext, url, at, run, options) {
  const page = await open(browserOrContext, url, at, options);
  try {
    await run(page);
    assert.deepEqual(page.troubles, []);
  } finally { await page.context().close(); }
}

/** True when the page can be scrolled sideways. */
export const wide = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

/** Violations of WCAG 2.2 A and AA on the page as it stands, as short lines; with `rules`, of these only. */
export async function axe(page, rules) {
  // Through the protocol, so that the page's own content security policy stays as strict as it is.
  if (!await page.evaluate(() => 'axe' in globalThis)) {
    const session = await page.context().newCDPSession(page);
    await session.send('Runtime.evaluate', { expression: readFileSync(axePath, 'utf8') });
    await session.detach();
  }
  // The whole page in sight: what a sticky header or dock covers for the moment can be scrolled free.
  const size = page.viewportSize();
  const tall = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width: size.width, height: Math.max(size.height, Math.min(tall + 120, 16_000)) });
  const result = await page.evaluate((only) => globalThis.axe.run(document, {
    runOnly: only ? { type: 'rule', values: only } : ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
    resultTypes: ['violations'],
  }), rules);
  await page.setViewportSize(size);
  return result.violations.flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.target.join(' ')} ${node.failureSummary?.split('\n')[1] ?? ''}`));
}

/** Keeps a picture of the page where a person can look at it. */
export async function picture(page, name, { fullPage = false } = {}) {
  const folder = path.join(root, 'target', 'shots');
  mkdirSync(folder, { recursive: true });
  // Through the protocol: page.screenshot() adds a style of its own, which the page's policy rightly reports.
  const session = await page.context().newCDPSession(page);
  const { cssContentSize, cssVisualViewport } = await session.send('Page.getLayoutMetrics');
  const size = fullPage ? cssContentSize : { x: cssVisualViewport.pageX, y: cssVisualViewport.pageY, width: cssVisualViewport.clientWidth, height: cssVisualViewport.clientHeight };
  const { data } = await session.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: fullPage, clip: { ...size, scale: 1 } });
  await session.detach();
  const file = path.join(folder, `${name}.png`);
  writeFileSync(file, Buffer.from(data, 'base64'));
  return file;
}

/** One call of the REST API. Returns { status, headers, body }. */
export async function api(url, method, at, body, headers = {}) {
  const answer = await fetch(url + at, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let parsed = text;
  try { parsed = JSON.parse(text); } catch { /* not JSON: the text is the answer */ }
  return { status: answer.status, headers: answer.headers, body: parsed };
}
