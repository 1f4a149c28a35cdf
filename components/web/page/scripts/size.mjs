// What a browser fetches before it shows the first page, compressed, is at most 100 KB: the page, and all scripts and
// styles that it names. Fails the build otherwise.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const MOST = 100_000;
const dist = new URL('../../dist/', import.meta.url);
const page = readFileSync(new URL('index.html', dist));
const named = [...page.toString().matchAll(/(?:src|href)="\/([^"]+)"/g)].map((match) => match[1]);
const sizes = [['index.html', page], ...named.map((name) => [name, readFileSync(new URL(name, dist))])].map(
  ([name, bytes]) => [name, gzipSync(bytes).length],
);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [name, size] of sizes) console.log(`${String(size).padStart(7)} bytes compressed  ${name}`);
console.log(`${String(total).padStart(7)} of ${MOST} for the first load`);
if (/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i.test(page.toString())) {
  console.error("index.html has an inline script or style, which the page's policy forbids");
  process.exit(1);
}
if (total > MOST) {
  console.error('the first load is too large: load what the first page does not need later, by import()');
  process.exit(1);
}
