// Small values kept in the browser. A frame without storage (a sandboxed
// embed, blocked cookies) works too: it only forgets.

/** Kept until the tab is closed (`session`) or for good (`local`). */
export type Shelf = 'session' | 'local';

const PREFIX = 'livestream.';

/** The value stored under `key`, `null` when there is none or it is not readable. */
export function recall<T>(shelf: Shelf, key: string): T | null {
  try {
    const text = open(shelf).getItem(PREFIX + key);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

/** Stores `value`, or removes it when it is `null`. */
export function keep(shelf: Shelf, key: string, value: unknown): void {
  try {
    if (value === null) open(shelf).removeItem(PREFIX + key);
    else open(shelf).setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Without storage the page forgets, which is all it can do.
  }
}

function open(shelf: Shelf): Storage {
  return shelf === 'session' ? window.sessionStorage : window.localStorage;
}
