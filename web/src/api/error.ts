// What can go wrong with a request, in kinds the pages act upon and in words
// people understand.

/** What to do about it, rather than a number. */
export type ErrorKind =
  | 'unreachable'
  | 'unavailable'
  | 'unauthorized'
  | 'forbidden'
  | 'missing'
  | 'conflict'
  | 'changed'
  | 'limited'
  | 'invalid'
  | 'failed';

/** A request that did not do what it was asked. */
export class ApiError extends Error {
  constructor(
    /** What to do about it. */
    readonly kind: ErrorKind,
    /** The server's own words, in a person's language where it has them. */
    readonly detail: string,
    /** The HTTP status, 0 when there was no answer. */
    readonly status = 0,
    /** The stable code of the problem document, empty without one. */
    readonly code = '',
    /** When to try again, in milliseconds, where the server said so. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail === '' ? kind : detail);
    this.name = 'ApiError';
  }

  /** Whether the same request may succeed later by itself. */
  get passing(): boolean {
    return this.kind === 'unreachable' || this.kind === 'unavailable' || this.kind === 'limited';
  }
}

/** The kind of an HTTP status. */
export function kindOf(status: number): ErrorKind {
  const kinds: Record<number, ErrorKind> = {
    400: 'invalid',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'missing',
    409: 'conflict',
    412: 'changed',
    413: 'invalid',
    422: 'invalid',
    429: 'limited',
    502: 'unavailable',
    503: 'unavailable',
    504: 'unavailable',
  };
  return kinds[status] ?? 'failed';
}

const WORDS: Record<ErrorKind, string> = {
  unreachable: 'The server cannot be reached. Check the connection and try again.',
  unavailable: 'The server cannot do this just now. Try again in a moment.',
  unauthorized: 'This needs a key. Sign in with a key and try again.',
  forbidden: 'This key may not do that.',
  missing: 'It is not there any more.',
  conflict: 'That is not possible now.',
  changed: 'Somebody changed it meanwhile. Look at it again and try once more.',
  limited: 'Too many requests. Try again in a moment.',
  invalid: 'The server did not accept this.',
  failed: 'Something went wrong on the server.',
};

/** What happened, in one or two sentences; `special` replaces the text of single kinds. */
export function explain(error: unknown, special: Partial<Record<ErrorKind, string>> = {}): string {
  if (!(error instanceof ApiError)) return 'Something went wrong on this page. Reload it and try again.';
  const text = special[error.kind] ?? WORDS[error.kind];
  const adds = special[error.kind] === undefined && (error.kind === 'invalid' || error.kind === 'conflict');
  return adds && error.detail !== '' ? `${text} ${sentence(error.detail)}` : text;
}

function sentence(text: string): string {
  const trimmed = text.trim();
  const started = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(started) ? started : `${started}.`;
}
