// How many bytes each page costs: its HTML as it goes over the wire and, once for all pages, the files of static/ that they
// load, compressed. Prints a table against page-weight.json, which holds the numbers of an earlier commit.
//   node tests/browser/page-weight.mjs            the table
//   node tests/browser/page-weight.mjs --write COMMIT   measures SLUICE_BIN, built of that commit, and writes page-weight.json
import { request } from 'node:http';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
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

/** Bytes by page and language, and those of all files that the pages load. */
export async function weigh(url, commit) {
  await until(async () => (await api(url, 'GET', '/api/v1/releases')).body.items.length === 2, 'the releases of the demo are there', 60_000);
  const pages = {};
  const files = new Set();
  for (const at of PAGES) {
    for (const lang of LANGUAGES) {
      const sizes = [];
      for (let round = 0; round < ROUNDS; round++) {
        const { size, text } = await get(url + at, lang);
        sizes.push(size);
        for (const [, file] of text.matchAll(/(?:src|href)="\/(static\/[^"#?]+)/g)) files.add(file);
      }
      // Figures and times differ from one answer to the next; the middle one is the page.
      pages[`${at} ${lang}`] = sizes.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
    }
  }
  let assets = 0;
  // A debug build reads these files where it was built: they are taken as they are in the commit, or here.
  const root = fileURLToPath(new URL('../..', import.meta.url));
  for (const file of files) assets += gzipSync(commit ? execFileSync('git', ['show', `${commit}:${file}`], { cwd: root }) : readFileSync(root + file), { level: 9 }).length;
  return { pages, assets };
}

/** One line for each page: before, now, and the difference in percent; those that are too heavy. */
export function compare(now) {
  const before = JSON.parse(readFileSync(FILE, 'utf8'));
  const lines = [];
  const heavy = [];
  const line = (name, was, is) => {
    const more = (is / was - 1) * 100;
    // What is known to have grown by more has a bound of its own, with its reason: it must not grow further.
    const grown = Object.entries(before.grown ?? {}).find(([page]) => name.startsWith(page))?.[1];
    const bound = grown ? Math.max(...Object.values(grown.bytes)) : was;
    const text = `${name.padEnd(48)} ${String(was).padStart(7)} ${String(is).padStart(7)} ${more >= 0 ? '+' : ''}${more.toFixed(1)} %${grown ? `  (${grown.why})` : ''}`;
    lines.push(text);
    if (is > bound * MOST) heavy.push(text);
  };
  for (const [name, was] of Object.entries(before.pages)) line(name, was, now.pages[name]);
  line('files of all pages', before.assets, now.assets);
  return { commit: before.commit, lines, heavy };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const app = await sluice();
  const commit = process.argv[2] === '--write' ? process.argv[3] : undefined;
  try {
    const now = await weigh(app.url, commit);
    if (commit) {
      const { grown } = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : {};
      writeFileSync(FILE, `${JSON.stringify({ commit, ...now, grown }, null, 2)}\n`);
    } else {
      const { lines, heavy, commit: earlier } = compare(now);
      console.log(`bytes at ${earlier}, bytes now\n${lines.join('\n')}`);
      process.exitCode = heavy.length ? 1 : 0;
    }
  } finally { await app.stop(); }
}
