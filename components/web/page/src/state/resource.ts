// Something that the host has and a page shows: loading, there, or failed. Of several loads at once the last one
// counts.

import { signal } from '@preact/signals';

export interface Loaded<Value> {
  value?: Value;
  /** Why the last load failed. What was there before still is. */
  error?: unknown;
  isLoading: boolean;
}

export class Resource<Value> {
  readonly state = signal<Loaded<Value>>({ isLoading: false });
  private latest = 0;

  constructor(private readonly fetch: () => Promise<Value>) {}

  get value(): Value | undefined {
    return this.state.value.value;
  }

  /** Loads it, unless it is there or on its way. */
  async need(): Promise<void> {
    const { value, isLoading } = this.state.peek();
    if (value === undefined && !isLoading) await this.load();
  }

  /** Loads it, again if need be. What it has shown until now stays meanwhile. */
  async load(): Promise<void> {
    this.latest += 1;
    const number = this.latest;
    const { error: _, ...before } = this.state.peek();
    this.state.value = { ...before, isLoading: true };
    try {
      const value = await this.fetch();
      if (number === this.latest) this.state.value = { value, isLoading: false };
    } catch (error) {
      if (number === this.latest) this.state.value = { ...before, isLoading: false, error };
    }
  }

  /** Loads it again, if somebody has wanted it. */
  refresh(): void {
    const { value, error } = this.state.peek();
    if (value !== undefined || error !== undefined) void this.load();
  }

  /** The host has told what it is now. A load that is on its way is older. */
  set(value: Value): void {
    this.latest += 1;
    this.state.value = { value, isLoading: false };
  }

  /** Changes what is there. */
  update(how: (value: Value) => Value): void {
    const { value } = this.state.peek();
    if (value !== undefined) this.state.value = { ...this.state.peek(), value: how(value) };
  }

  reset(): void {
    this.latest += 1;
    this.state.value = { isLoading: false };
  }
}
