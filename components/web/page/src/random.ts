// Names that nobody else has. `crypto.randomUUID` is not there on a page without TLS; random bytes are.

export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
