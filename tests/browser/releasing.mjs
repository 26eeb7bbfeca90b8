// What a release manager does, in the words of the tests. Used by the releases*.test.mjs beside this file.
import assert from 'node:assert/strict';
import { api, until } from './support.mjs';

export const weight = (percent) => ({ kind: 'weight', percent });
export const hold = (seconds) => ({ kind: 'hold', seconds });
export const chip = (page) => page.locator('#rel-state .chip');

/** Starts a release of v1 → v2 through the API, once the service is free. Answers its number. */
export async function begin(url, { name = 'reviews', steps, headers = {}, ...more }) {
  const service = `bookinfo/${name}`;
  const active = async () => (await api(url, 'GET', `/api/v1/releases?show=active&service=${service}`, undefined, headers)).body.items;
  for (const one of await active()) await api(url, 'POST', `/api/v1/releases/${one.id}/commands?wait=30`, { command: 'abort' }, headers);
  await until(async () => (await active()).length === 0, `${service} is free`);
  const spec = { service: { namespace: 'bookinfo', name }, strategy: 'canary', stable: 'v1', candidate: { from: 'adopt', version: 'v2' }, steps, ...more };
  const made = await api(url, 'POST', '/api/v1/releases', { spec, reason: 'REV-231 star ratings' }, headers);
  assert.equal(made.status, 200, JSON.stringify(made.body));
  return made.body.id;
}

export const read = async (url, id, headers) => (await api(url, 'GET', `/api/v1/releases/${id}`, undefined, headers)).body;
export const inPhase = (url, id, wanted, headers) => until(async () => (await read(url, id, headers)).phase === wanted, `${id} is ${wanted}`, 30_000);
export const tell = (url, id, command, headers) => api(url, 'POST', `/api/v1/releases/${id}/commands?wait=30`, { command }, headers);
