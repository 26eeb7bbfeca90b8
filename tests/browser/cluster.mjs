// A real Kubernetes API server for a browser test (tests/cluster), and Sluice in front of it with exactly the rights that
// deploy/ gives. Everything listens on loopback and ends with the test, however it ends.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { browser, open, sluice } from './support.mjs';

const up = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../cluster/up');

/** Why there can be no cluster on this machine; null when there can. In CI a missing cluster is a failure. */
export function missing() {
  if (process.env.SLUICE_TEST_LAYERS === 'fake') return 'SLUICE_TEST_LAYERS=fake';
  try { execFileSync('go', ['version'], { stdio: 'ignore' }); } catch { return process.env.CI === 'true' ? null : 'Go is not installed'; }
  return null;
}

/** Starts a cluster with the samples and waits until it is ready. */
export async function cluster() {
  const program = execFileSync('bash', [up, '--build'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  const child = spawn('bash', [up, '--samples'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (part) => { said += part; });
  const ended = new Promise((done) => child.once('exit', done));
  const line = await new Promise((found, failed) => {
    createInterface({ input: child.stdout }).once('line', found);
    ended.then(() => failed(new Error(`the cluster did not start:\n${said}`)));
  });
  const report = JSON.parse(line);
  if (!report.ready) throw new Error(`the cluster did not start: ${report.error}\n${said}`);
  const kubectl = (args, input) => execFileSync(program, ['kubectl', '--kubeconfig', report.kubeconfig, ...args], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
  return {
    tokens: report.tokens,
    kubeconfig: (person) => path.join(report.dir, `${person}.kubeconfig`),
    kubectl,
    /** Creates or changes objects, given as JavaScript. */
    apply: (...objects) => kubectl(['apply', '-f', '-'], objects.map((one) => JSON.stringify(one)).join('\n---\n')),
    /** The object as the API server has it. */
    get: (kind, namespace, name) => JSON.parse(kubectl(['get', kind, '-n', namespace, name, '-o', 'json'])),
    /** Weights by subset of a VirtualService's first route. */
    weights(namespace, name) {
      const object = JSON.parse(kubectl(['get', 'virtualservice', '-n', namespace, name, '-o', 'json']));
      return Object.fromEntries(object.spec.http[0].route.map((to) => [to.destination.subset, to.weight ?? 0]));
    },
    /** Whether the pods of a version are ready, as the stand-in for the kubelet takes it. */
    ready: (app, version, yes) => kubectl(['annotate', 'pods', '-n', 'bookinfo', '-l', `app=${app},version=${version}`, '--overwrite', `tests.sluice/ready=${yes}`]),
    /** Stops, continues, kills or starts the API server: freeze, thaw, kill, start. */
    control: async (what) => {
      const answer = await fetch(`${report.control}/apiserver/${what}`, { method: 'POST' });
      if (!answer.ok) throw new Error(`${what}: ${await answer.text()}`);
    },
    stop: async () => { child.stdin.end(); await ended; },
  };
}

/** `sluice serve --auth token` on a cluster, with a history that outlives it until `forget`. */
export async function served(on, { folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-browser-')), more = [], listen } = {}) {
  const history = `sqlite://${path.join(folder, 'sluice.db')}`;
  const app = await sluice(['serve', '--auth', 'token', '--kubeconfig', on.kubeconfig('sluice'), '--database-url', history, ...more], {}, listen);
  return { ...app, folder, forget: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * A cluster with Sluice in front of it and a browser, for all tests of a file: started before them, ended after them.
 * `skip` says why there is none; `as` opens a page as a person; `again` restarts Sluice at the same address.
 */
export function layer(more = []) {
  const skip = missing() ?? false;
  if (skip) process.stderr.write(`SKIPPED: real API server layer: ${skip}\n`);
  const on = { skip };
  before(async () => {
    if (skip) return;
    [on.real, on.chromium] = [await cluster(), await browser()];
    on.app = await served(on.real, { more });
  }, { timeout: 600_000 });
  after(async () => {
    await on.chromium?.close();
    await on.app?.stop();
    on.app?.forget();
    await on.real?.stop();
  });
  on.again = async () => { on.app = await served(on.real, { folder: on.app.folder, more, listen: new URL(on.app.url).host }); };
  on.as = async (person, at, options) => {
    const page = await open(on.chromium, on.app.url, at, options);
    assert.equal(new URL(page.url()).pathname, '/login', 'nobody sees anything before signing in');
    await signIn(page, on.real.tokens[person]);
    assert.equal(new URL(page.url()).pathname, new URL(on.app.url + at).pathname, 'and then goes where they wanted to');
    return page;
  };
  return on;
}

/** Signs in with a person's token on the page that asks for it. */
export async function signIn(page, token) {
  await page.locator('#token').fill(token);
  await page.locator('form button.pri').click();
  await page.waitForURL((url) => url.pathname !== '/login');
}
