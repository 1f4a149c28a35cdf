// Asking the host over HTTP: JSON in and out, a deadline for each call, and one kind of error, which says what went
// wrong. Knows no route and no page.

/** How long a call may take unless it says otherwise, in milliseconds. */
const PATIENCE = 20_000;

export type Failure = 'offline' | 'timeout' | 'refused';

/** A call that did not succeed. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly failure: Failure,
    /** The HTTP status; 0 where there was no answer. */
    readonly status: number,
    /** The host's own words, where it had any. */
    message: string,
    /** Seconds until it makes sense to try again. */
    readonly retryAfter?: number,
    /** The whole JSON of the refusal. */
    readonly body: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

export interface Call {
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  /** Milliseconds. */
  patience?: number;
  /** Ends the call early; it fails with an `AbortError` then. */
  signal?: AbortSignal;
  /** The caller handles a 401 itself: it does not mean that the session is over. */
  anonymous?: boolean;
}

type Fetch = typeof fetch;

/** The host behind this page's own origin. */
export class Client {
  /** Called when an answer says that there is no session (any more). */
  onNoSession: () => void = () => undefined;

  constructor(private readonly fetch: Fetch = (...all) => globalThis.fetch(...all)) {}

  get<T>(path: string, call?: Call): Promise<T> {
    return this.json('GET', path, call);
  }

  post<T>(path: string, body?: unknown, call?: Call): Promise<T> {
    return this.json('POST', path, { ...call, body });
  }

  patch<T>(path: string, body: unknown, call?: Call): Promise<T> {
    return this.json('PATCH', path, { ...call, body });
  }

  delete<T>(path: string, body?: unknown, call?: Call): Promise<T> {
    return this.json('DELETE', path, { ...call, body });
  }

  private async json<T>(method: string, path: string, call?: Call): Promise<T> {
    return (await this.send(method, path, call)) as T;
  }

  private async send(method: string, path: string, call: Call = {}): Promise<unknown> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), call.patience ?? PATIENCE);
    const stop = () => deadline.abort();
    call.signal?.addEventListener('abort', stop);
    if (call.signal?.aborted) stop();
    const init: RequestInit = { method, credentials: 'same-origin', signal: deadline.signal, cache: 'no-store' };
    if (call.body !== undefined) {
      init.headers = { 'content-type': 'application/json' };
      init.body = JSON.stringify(call.body);
    }
    try {
      const response = await this.fetch(withQuery(path, call.query), init);
      if (response.ok) return await answer(response);
      const error = await refusal(response);
      if (error.status === 401 && !call.anonymous) this.onNoSession();
      throw error;
    } catch (error) {
      if (error instanceof ApiError || call.signal?.aborted) throw error;
      if (deadline.signal.aborted) throw new ApiError('timeout', 0, 'The host did not answer in time');
      throw new ApiError('offline', 0, "The host can't be reached");
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', stop);
    }
  }
}

function withQuery(path: string, query: Call['query'] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return path;
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

async function answer(response: Response): Promise<unknown> {
  const text = await response.text();
  // Logging out answers a plain text.
  return response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
}

async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  let body: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) body = parsed as Record<string, unknown>;
  } catch {
    // A plain text, such as that of a 401.
  }
  const message = typeof body['message'] === 'string' ? body['message'] : text.slice(0, 200);
  return new ApiError('refused', response.status, message, seconds(response.headers.get('retry-after')), body);
}

/** `Retry-After` is a number of seconds or a date. */
export function seconds(header: string | null, now = Date.now()): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const number = Number(header);
  if (Number.isFinite(number)) return Math.max(0, Math.ceil(number));
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1_000));
}
