// A file that the browser keeps, and an export that comes in parts.

import type { Exported } from './api/types';

/** How long a browser may take to begin with a download, in milliseconds: Safari reads the address late. */
const READ_BY = 10_000;
/** More parts than this are an error of the host. */
const MOST_PARTS = 1_000;

export function download(name: string, blob: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), READ_BY);
}

/** All parts as one: lists that were broken off go on where they ended. */
export async function gather(fetchPart: (cursor?: string) => Promise<Exported>): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {};
  let cursor: string | undefined;
  for (let part = 0; part < MOST_PARTS; part += 1) {
    const { next, ...fields } = await fetchPart(cursor);
    for (const [name, value] of Object.entries(fields)) {
      const known = all[name];
      if (Array.isArray(known) && Array.isArray(value)) all[name] = known.concat(value);
      else if (!(name in all)) all[name] = value;
    }
    if (next === undefined) return all;
    cursor = next;
  }
  throw new Error('the export does not end');
}
