// Who this tab is in a stream, across reloads. The identity is the name and
// four random characters, so that two people called Ann do not push each other
// out; the session's storage belongs to the tab.

import type { Role } from '../api/types';
import { keep, recall } from '../lib/storage';

/** What a tab remembers of its place in a stream. */
export interface Place {
  identity: string;
  name: string;
  role: Role;
  /** The last join token: proof, for a reload, that the identity is ours. */
  token: string | null;
  /** We were in when the page went away. */
  inside: boolean;
  /** What was being published. */
  camera: boolean;
  microphone: boolean;
}

/** The place this tab had, `null` when it had none. */
export function recallPlace(streamId: string): Place | null {
  return recall<Place>('session', placeKey(streamId));
}

/** Remembers the place, or forgets it. */
export function keepPlace(streamId: string, place: Place | null): void {
  keep('session', placeKey(streamId), place);
}

/** An identity for `name`: at most 256 bytes, as the API wants it. `random` is four characters. */
export function identityFor(name: string, random: string): string {
  const base = name.trim().replace(/\s+/g, '-');
  return `${shorten(base === '' ? 'guest' : base, 200)}-${random}`;
}

/** Four random characters. */
export function fourCharacters(): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
  return [...crypto.getRandomValues(new Uint8Array(4))]
    .map((byte) => alphabet[byte % alphabet.length])
    .join('');
}

/** The longest beginning of `text` with at most `bytes` bytes in UTF-8. */
export function shorten(text: string, bytes: number): string {
  const encoder = new TextEncoder();
  let short = text;
  while (encoder.encode(short).length > bytes) short = [...short].slice(0, -1).join('');
  return short;
}

/** How long the page before a reload may take to let go. */
const CLAIM_MS = 4_000;

/** What this page holds already: a lock is not given twice. */
const claimed = new Set<string>();

/**
 * Whether this tab may use the remembered identity. A duplicated tab has a copy of the session's
 * storage; both using one identity would push each other out for ever. The lock is held until the
 * page goes away. A page that is just being reloaded may hold it a moment longer, hence the wait.
 */
export async function claimIdentity(identity: string): Promise<boolean> {
  if (!window.isSecureContext || !('locks' in navigator) || claimed.has(identity)) return true;
  return new Promise((resolve) => {
    navigator.locks
      .request(`livestream:identity:${identity}`, { signal: AbortSignal.timeout(CLAIM_MS) }, () => {
        claimed.add(identity);
        resolve(true);
        return new Promise(() => undefined);
      })
      .catch(() => resolve(false));
  });
}

const MINE = 'mine';
const MOST_MINE = 50;

/** Remembers that this browser opened the stream: its default role there is host. */
export function rememberMine(streamId: string): void {
  const others = (recall<string[]>('local', MINE) ?? []).filter((id) => id !== streamId);
  keep('local', MINE, [streamId, ...others].slice(0, MOST_MINE));
}

/** Whether this browser opened the stream. */
export function isMine(streamId: string): boolean {
  return (recall<string[]>('local', MINE) ?? []).includes(streamId);
}

function placeKey(streamId: string): string {
  return `place:${streamId}`;
}
