// What a member has just changed and the host has not answered yet, shown over what the host said. When the host
// refuses, the change is lifted off, unless the member has changed the same thing again since.

import { signal } from '@preact/signals';

export class Overlay<Value> {
  readonly changes = signal<ReadonlyMap<string, Value>>(new Map());
  private readonly numbers = new Map<string, number>();
  private count = 0;

  has(name: string): boolean {
    return this.changes.value.has(name);
  }

  /** Shows `value` while `work` runs; `settle` takes it over when it succeeded. Fails as `work` does. */
  async during<Answer>(
    name: string,
    value: Value,
    work: () => Promise<Answer>,
    settle: (answer: Answer) => void,
  ): Promise<Answer> {
    this.count += 1;
    const number = this.count;
    this.numbers.set(name, number);
    this.changes.value = new Map(this.changes.peek()).set(name, value);
    try {
      const answer = await work();
      if (this.numbers.get(name) === number) settle(answer);
      return answer;
    } finally {
      if (this.numbers.get(name) === number) this.lift(name);
    }
  }

  reset(): void {
    this.numbers.clear();
    this.changes.value = new Map();
  }

  private lift(name: string): void {
    this.numbers.delete(name);
    const changes = new Map(this.changes.peek());
    changes.delete(name);
    this.changes.value = changes;
  }
}
