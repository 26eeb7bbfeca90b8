// How many bytes each page costs: its HTML as it goes over the wire (`sent`: what a browser pays) and unpacked (`plain`),
// and, once for all pages, the files of static/ that they load. Prints a table against page-weight.json, which holds the
// numbers of an earlier commit.
//   node tests/browser/page-weight.mjs            the table
//   node tests/browser/page-weight.mjs --write COMMIT   measures SLUICE_BIN, built of that commit, and writes page-weight.json
import { request } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { execFileSync } from 'node:child_process';
import { gunzipSync, gzipSync } from 'node:zlib';
import { api, sluice, until } from './support.mjs';

const FILE = fileURLToPath(new URL('page-weight.json', import.meta.url));
/** What a page may weigh more than it did. */
export const MOST = 1.05;
const LANGUAGES = ['en', 'zh'];
const PAGES = [
  '/services', '/services/bookinfo/reviews', '/services/shop/catalog', '/services/bookinfo/details', '/releases', '/releases/R-2',
  '/releases/new?service=bookinfo/reviews', '/audit', '/audit?service=shop/pricing', '/api/docs',
];
const ROUNDS = 5;
const FILES = 'files of all pages';

/** The bytes of an answer as they come, and its text. The card that greets a visitor of the demo is closed: it is no part of the page. */
function get(url, lang) {
  return new Promise((done, failed) => {
    request(url, { headers: { 'accept-encoding': 'gzip', 'accept-language': lang, cookie: `lang=${lang}; guide=closed` } }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const bytes = Buffer.concat(parts);
        if (answer.statusCode !== 200) failed(new Error(`${url}: ${answer.statusCode}`));
        else done({ size: bytes.length, text: (answer.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString() });
      });
    }).on('error', failed).end();
  });
}

/** Bytes by page and language, sent and unpacked, and those of all files that the pages load. */
export async function weigh(url, commit) {
  await until(async () => (await api(url, 'GET', '/api/v1/releases')).body.items.length === 2, 'the releases of the demo are there', 60_000);
  const sent = {};
  const plain = {};
  const files = new Set();
  for (const at of PAGES) {
    for (const lang of LANGUAGES) {
      const sizes = [];
      const texts = [];
      for (let round = 0; round < ROUNDS; round++) {
        const { size, text } = await get(url + at, lang);
        sizes.push(size);
        texts.push(Buffer.byteLength(text));
        for (const [, file] of text.matchAll(/(?:src|href)="\/(static\/[^"#?]+)/g)) files.add(file);
      }
      // Figures and times differ from one answer to the next; the middle one is the page.
      const middle = (all) => all.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
      sent[`${at} ${lang}`] = middle(sizes);
      plain[`${at} ${lang}`] = middle(texts);
    }
  }
  const all = { sent: 0, plain: 0 };
  const root = fileURLToPath(new URL('../..', import.meta.url));
  for (const file of files) {
    // A debug build reads these files where it was built: those of an earlier commit are taken out of it, as it sent them.
    const source = commit && execFileSync('git', ['show', `${commit}:${file}`], { cwd: root });
    const one = commit ? { size: gzipSync(source, { level: 9 }).length, text: source } : await get(`${url}/${file}`, 'en');
    all.sent += one.size;
    all.plain += Buffer.byteLength(one.text);
  }
  sent[FILES] = all.sent;
  plain[FILES] = all.plain;
  return { sent, plain };
}

/** One line for each page: before, now, and the difference in percent, of what is sent and of what is unpacked; and those of
 * which more is sent than may be. */
export function compare(now) {
  const before = JSON.parse(readFileSync(FILE, 'utf8'));
  const more = (was, is) => `${String(was).padStart(7)} ${String(is).padStart(7)} ${(is >= was ? '+' : '') + ((is / was - 1) * 100).toFixed(1)} %`.padEnd(25);
  const names = Object.keys(before.sent);
  const line = (name) => `${name.padEnd(44)} ${more(before.sent[name], now.sent[name])} ${more(before.plain[name], now.plain[name])}`.trimEnd();
  const heavy = names.filter((name) => !(now.sent[name] <= before.sent[name] * MOST));
  return { commit: before.commit, lines: names.map(line), heavy: heavy.map(line) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const app = await sluice();
  const commit = process.argv[2] === '--write' ? process.argv[3] : undefined;
  try {
    const now = await weigh(app.url, commit);
    if (commit) {
      writeFileSync(FILE, `${JSON.stringify({ commit, ...now }, null, 1)}\n`);
    } else {
      const { lines, heavy, commit: earlier } = compare(now);
      console.log(`bytes sent at ${earlier} and now, bytes unpacked at ${earlier} and now\n${lines.join('\n')}`);
      process.exitCode = heavy.length ? 1 : 0;
    }
  } finally { await app.stop(); }
}
