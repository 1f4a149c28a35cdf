// What is kept in the browser, under names that begin with `devconnect.`. A browser that keeps nothing (private
// windows, a full disk) is as good as an empty one.

const PREFIX = 'devconnect.';

/** A part of `Storage`, so that tests need no browser. */
export type Kept = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

export class Shelf {
  constructor(private readonly kept: () => Kept | undefined) {}

  get(name: string): string | null {
    return this.attempt((kept) => kept.getItem(PREFIX + name)) ?? null;
  }

  set(name: string, value: string): void {
    this.attempt((kept) => kept.setItem(PREFIX + name, value));
  }

  remove(name: string): void {
    this.attempt((kept) => kept.removeItem(PREFIX + name));
  }

  json<T>(name: string): T | undefined {
    try {
      const text = this.get(name);
      return text === null ? undefined : (JSON.parse(text) as T);
    } catch {
      return undefined;
    }
  }

  /** Everything of ours goes. */
  clear(): void {
    this.attempt((kept) => {
      const names = Array.from({ length: kept.length }, (_, at) => kept.key(at));
      for (const name of names) if (name?.startsWith(PREFIX)) kept.removeItem(name);
    });
  }

  private attempt<T>(use: (kept: Kept) => T): T | undefined {
    try {
      const kept = this.kept();
      return kept && use(kept);
    } catch {
      return undefined;
    }
  }
}

/** Of this tab; gone with it. */
export const tab = new Shelf(() => globalThis.sessionStorage);
/** Of this browser. */
export const browser = new Shelf(() => globalThis.localStorage);
