// One event stream for all tabs on the same page. The tab that holds the Web
// Lock leads: it has the connection and tells the others over a
// BroadcastChannel. Browsers allow six HTTP/1.1 connections to a host, and the
// seventh tab would hang. On an insecure address there are no Web Locks and
// every tab has its own connection.

import { createStore, type Readable } from '../lib/store';
import type { FeedAction } from './action';
import { runSource } from './source';

/** A follower that hears nothing for this long, heartbeats included, no longer trusts its leader. */
const LEADER_SILENCE_MS = 60_000;

/** What a feed is made of. */
export interface FeedOptions<S> {
  path: string;
  initial: S;
  reduce(state: S, action: FeedAction): S;
  lastId(state: S): string | null;
  /** What lets us look. */
  bearer?(): string | null;
}

/** A running feed. */
export interface Feed<S> extends Readable<S> {
  /** Ends it; another tab takes over where this one led. */
  close(): void;
}

type Told<S> =
  | { kind: 'state'; state: S }
  | { kind: 'action'; action: FeedAction }
  | { kind: 'alive' }
  | { kind: 'hello' };
type StoreAction<S> = { type: 'take'; state: S } | { type: 'feed'; action: FeedAction };

/** Opens the feed, shared with the other tabs where the browser can. */
export function openFeed<S>(options: FeedOptions<S>): Feed<S> {
  const store = createStore<S, StoreAction<S>>(
    (state, action) => (action.type === 'take' ? action.state : options.reduce(state, action.action)),
    options.initial,
  );
  const closing = new AbortController();
  if (sharable()) share(options, store, closing.signal);
  else void lead(options, store, null, closing.signal);
  return { get: store.get, subscribe: store.subscribe, close: () => closing.abort() };
}

interface FeedStore<S> extends Readable<S> {
  dispatch(action: StoreAction<S>): void;
}

function sharable(): boolean {
  return window.isSecureContext && 'locks' in navigator && typeof BroadcastChannel === 'function';
}

/** Connects, and tells the channel all that comes. */
function lead<S>(
  options: FeedOptions<S>,
  store: FeedStore<S>,
  channel: BroadcastChannel | null,
  signal: AbortSignal,
): Promise<void> {
  const tell = (message: Told<S>) => channel?.postMessage(message);
  const report = (action: FeedAction) => {
    store.dispatch({ type: 'feed', action });
    tell({ kind: 'action', action });
  };
  const bearer = () => options.bearer?.() ?? null;
  const source = { path: options.path, report, bearer, lastId: () => options.lastId(store.get()) };
  return runSource({ ...source, alive: () => tell({ kind: 'alive' }) }, signal);
}

function share<S>(options: FeedOptions<S>, store: FeedStore<S>, signal: AbortSignal): void {
  const name = `livestream:${options.path}`;
  const channel = new BroadcastChannel(name);
  const follower = follow(options, store, signal);
  channel.onmessage = ({ data }: MessageEvent<Told<S>>) => {
    if (data.kind !== 'hello') follower.hear(data);
    else if (follower.leads()) channel.postMessage({ kind: 'state', state: store.get() } satisfies Told<S>);
  };
  channel.postMessage({ kind: 'hello' } satisfies Told<S>);
  navigator.locks
    .request(name, { signal }, async () => {
      follower.promote();
      channel.postMessage({ kind: 'state', state: store.get() } satisfies Told<S>);
      await lead(options, store, channel, signal);
    })
    .catch(() => undefined)
    .finally(() => channel.close());
}

interface Follower<S> {
  hear(message: Told<S>): void;
  promote(): void;
  leads(): boolean;
}

/** Listens to the leader; when that falls silent, connects by itself until it is heard again. */
function follow<S>(options: FeedOptions<S>, store: FeedStore<S>, signal: AbortSignal): Follower<S> {
  let leading = false;
  let informed = false;
  let alone: AbortController | null = null;
  let silence: ReturnType<typeof setTimeout> | undefined;
  const goAlone = () => {
    if (leading || signal.aborted || alone !== null) return;
    alone = new AbortController();
    void lead(options, store, null, AbortSignal.any([signal, alone.signal]));
  };
  const stopAlone = () => {
    alone?.abort();
    alone = null;
  };
  const expect = () => {
    clearTimeout(silence);
    if (!leading) silence = setTimeout(goAlone, LEADER_SILENCE_MS);
  };
  signal.addEventListener('abort', () => clearTimeout(silence));
  expect();
  return {
    leads: () => leading,
    promote() {
      leading = true;
      clearTimeout(silence);
      stopAlone();
    },
    hear(message) {
      if (leading) return;
      expect();
      stopAlone();
      if (message.kind === 'state') informed = true;
      if (message.kind === 'state') store.dispatch({ type: 'take', state: message.state });
      if (message.kind === 'action' && informed) store.dispatch({ type: 'feed', action: message.action });
    },
  };
}
