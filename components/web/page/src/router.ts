// Which page is shown: the address as a signal, links that change it without loading anew, and where one was on each
// page.

import { signal } from '@preact/signals';

export interface Place {
  path: string;
  query: URLSearchParams;
  /** Grows with each visit, so that a visit of the same address counts as one. */
  visit: number;
}

const read = (visit: number): Place => ({
  path: location.pathname.replace(/(.)\/+$/, '$1'),
  query: new URLSearchParams(location.search),
  visit,
});

export const place = signal<Place>({ path: '/', query: new URLSearchParams(), visit: 0 });

/** How far down each entry of the browser's history was scrolled. */
const scrolled = new Map<number, number>();
let entry = 0;

/** Starts with the browser's address. */
export function startRouter(): void {
  history.scrollRestoration = 'manual';
  entry = typeof history.state?.entry === 'number' ? history.state.entry : 0;
  history.replaceState({ entry }, '');
  place.value = read(1);
  addEventListener('popstate', () => {
    scrolled.set(entry, scrollY);
    entry = typeof history.state?.entry === 'number' ? history.state.entry : entry + 1;
    go(scrolled.get(entry) ?? 0);
  });
  document.addEventListener('click', follow);
}

function go(top: number): void {
  place.value = read(place.peek().visit + 1);
  requestAnimationFrame(() => scrollTo(0, top));
}

/** Shows another page; `replace`: going back does not come here again. */
export function navigate(to: string, { replace = false } = {}): void {
  if (replace) {
    history.replaceState({ entry }, '', to);
  } else {
    scrolled.set(entry, scrollY);
    entry += 1;
    history.pushState({ entry }, '', to);
  }
  go(0);
}

/** A link to a page of ours changes the page; all others do what links do. */
function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element | null)?.closest?.('a[href]');
  if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download')) return;
  if (link.origin !== location.origin || link.getAttribute('href')?.startsWith('#')) return;
  if (link.pathname !== '/' && link.pathname !== '/app' && !link.pathname.startsWith('/app/')) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}

/** A place to come back to after logging in: an own page only, whatever the address says. */
export function ownPath(text: string | null): string | undefined {
  if (!text || !/^\/app(\/|$|\?)/.test(text) || /[\\\s]|\/\//.test(text)) return undefined;
  return text;
}
